"""The wall clock of a running program, set by hand with libfaketime; its monotonic clock goes on as it does."""

import subprocess
from collections.abc import Mapping
from pathlib import Path


class WallClock:
    """Right at first. Give `environment` to the program that shall believe it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self.jump(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that bring the library into a program."""
        told = subprocess.run(["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, check=True)
        return {
            "LD_PRELOAD": told.stdout.decode().strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # else it looks into the file every ten seconds
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: float) -> None:
        """Show a time that is so many seconds away from the right one, from now on."""
        other = self._file.with_suffix(".new")
        other.write_text(f"{seconds:+.0f}\n")
        other.replace(self._file)
