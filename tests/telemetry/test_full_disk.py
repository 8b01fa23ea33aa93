import resource

import pytest

from proxy.telemetry.log_writer import write_to


def test_a_line_that_a_full_disk_cut_does_not_spoil_the_next_one(tmp_path):
    file = tmp_path / "log"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with file.open("wb") as log:
        write = write_to(log.fileno())
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
            with pytest.raises(OSError, match="too large"):
                write(b"first\nsecond\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        write(b"third\n")
        write(b"fourth\n")
    assert file.read_text().splitlines() == ["first", "seco", "third", "fourth"]
