"""What makes a program believe in another machine than the one it runs on; see `machine/`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent / "machine"
GIB = 1 << 30
SLOW = "slow.invalid"
"""A name below this one resolves slowly."""


def slow_names(folder: Path, seconds: int) -> Mapping[str, str]:
    """Variables for a program to which names below `SLOW` resolve that late, to 127.0.0.1; needs a C compiler."""
    library = folder / "slow_names.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "slow_names.c"), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "LAB_SLOW_NAMES": str(seconds)}


class ControlGroup:
    """Made-up files of a container whose limit is 1 GiB. Give `environment` to the program that shall read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cgroup"
        self._folder.mkdir()
        for name, text in {"self": "0::/", "memory.max": str(GIB), "memory.stat": "inactive_file 0"}.items():
            (self._folder / name).write_text(f"{text}\n")
        self.use(0.2)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that show them in place of the real ones."""
        return {"PYTHONPATH": str(HERE), "LAB_CGROUP": str(self._folder)}

    def use(self, share: float) -> None:
        """Have so much of it used, from now on."""
        other = self._folder / "new"
        other.write_text(f"{share * GIB:.0f}\n")
        other.replace(self._folder / "memory.current")
