"""Quantities with their units written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import units
from proxy.config.snapshot import Address, Rate


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("250ms", 0.25), ("15s", 15), ("1.5s", 1.5), ("10m", 600), ("1h", 3600), ("0s", 0), ("0", 0), (0, 0)],
)
def test_a_duration_is_seconds(written, seconds):
    assert units.duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [("512B", 512), ("64KiB", 65536), ("25MiB", 26214400), ("1GiB", 1024**3), ("0.5KiB", 512), (0, 0)],
)
def test_a_size_is_bytes(written, size):
    assert units.size(written) == size
    assert isinstance(units.size(written), int)


@pytest.mark.parametrize(
    ("written", "rate"), [("20/min", Rate(20, 60)), ("5/s", Rate(5, 1)), ("1000/h", Rate(1000, 3600))]
)
def test_a_rate_is_a_count_in_a_period(written, rate):
    assert units.rate(written) == rate


@pytest.mark.parametrize(("written", "share"), [("50%", 0.5), ("100%", 1), (0.2, 0.2), (1, 1), ("0.25", 0.25)])
def test_a_ratio_is_a_share_of_one(written, share):
    assert units.ratio(written) == share


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("localhost:0", "localhost", 0), ("[::1]:65535", "::1", 65535)],
)
def test_an_address_is_a_host_and_a_port(written, host, port):
    assert units.address(written) == Address(host, port)


@pytest.mark.parametrize(
    ("reader", "written", "fragment"),
    [
        (units.duration, "15", "has no unit"),
        (units.duration, 15, "has no unit"),
        (units.duration, "15 s", "is not a duration"),
        (units.duration, "15S", "not known"),
        (units.duration, "-1s", "is not a duration"),
        (units.duration, "", "is not a duration"),
        (units.duration, True, "is not a duration"),
        (units.duration, False, "is not a duration"),
        (units.duration, "1h30m", "is not a duration"),
        (units.duration, "٣s", "is not a duration"),
        (units.size, "25MB", "not known"),
        (units.size, 1024, "has no unit"),
        (units.rate, "20", "is not a rate"),
        (units.rate, "/min", "is not a rate"),
        (units.rate, "0/min", "allows nothing"),
        (units.rate, "20/day", "is not a rate"),
        (units.rate, 20, "is not a rate"),
        (units.ratio, "half", "is not a share"),
        (units.ratio, True, "is not a share"),
        (units.ratio, -0.1, "is not a share"),
        (units.address, "8080", "is not an address"),
        (units.address, ":8080", "is not an address"),
        (units.address, "localhost:", "is not an address"),
        (units.address, "localhost:65536", "is not an address"),
        (units.address, "256.1.1.1:80", "is not an address"),
        (units.address, "::1:80", "is not an address"),
        (units.address, "[127.0.0.1]:80", "is not an address"),
        (units.address, 8080, "is not an address"),
    ],
)
def test_what_cannot_be_read_says_how_it_is_written(reader, written, fragment):
    with pytest.raises(ValueError, match=fragment):
        reader(written)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("::", False)],
)
def test_only_what_cannot_be_another_machine_is_loopback(host, loopback):
    assert units.is_loopback(host) is loopback


def test_a_name_that_merely_begins_like_localhost_is_not_loopback():
    assert not units.is_loopback("localhost.example.org")


@given(st.integers(0, 10**9), st.sampled_from(sorted(units.SECONDS)))
def test_durations_grow_with_their_number(number, unit):
    assert units.duration(f"{number + 1}{unit}") > units.duration(f"{number}{unit}")


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans()))
def test_no_value_breaks_a_reader(value):
    for reader in (units.duration, units.size, units.rate, units.ratio, units.address):
        try:
            result = str(reader(value))
        except ValueError as error:
            result = str(error)
        assert result
