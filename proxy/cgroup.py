"""How much of its memory limit this process's container uses, as the kernel counts it (cgroup v2 and v1).

Page cache that the kernel would give up at once (`inactive_file`) is not counted, as Kubernetes does not count it
either. A group without a limit, and a system without cgroups, use nothing.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED = 1 << 60
"""Bytes; version 1 spells "no limit" as a number near 2**63."""


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one control group that has a memory limit."""

    usage: Path
    limit: Path
    stat: Path
    inactive: str
    """The line of `stat` that counts reclaimable page cache."""

    def share(self) -> float:
        """Return used memory over the limit; 0 without a limit or when the files are gone."""
        try:
            limit = int(self.limit.read_text())
            used = int(self.usage.read_text()) - _line(self.stat.read_text(), self.inactive)
        except (OSError, ValueError):  # `max` is no number: no limit
            return 0.0
        return max(0.0, used / limit) if 0 < limit < UNLIMITED else 0.0


def memory_groups(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> tuple[Group, ...]:
    """Find the groups that this process counts against, its own and those around it, as far as they can be seen."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return ()
    found: list[Group] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [_version_2(folder) for folder in _upwards(root, path)]
        elif "memory" in controllers.split(","):
            found += [_version_1(folder) for folder in _upwards(root / "memory", path)]
    return tuple(group for group in found if group.limit.exists())


def memory_share(groups: tuple[Group, ...]) -> float:
    """Return how full the fullest of the groups is; 0 when none has a limit."""
    return max((group.share() for group in groups), default=0.0)


def _version_2(folder: Path) -> Group:
    return Group(folder / "memory.current", folder / "memory.max", folder / "memory.stat", "inactive_file")


def _version_1(folder: Path) -> Group:
    usage, limit = folder / "memory.usage_in_bytes", folder / "memory.limit_in_bytes"
    return Group(usage, limit, folder / "memory.stat", "total_inactive_file")


def _upwards(root: Path, path: str) -> list[Path]:
    """The group's folder and those above it; inside a container the mount often begins at the group itself."""
    below = [part for part in PurePosixPath(path).parts if part not in {"/", ".."}]
    return [root.joinpath(*below[:depth]) for depth in range(len(below), -1, -1)]


def _line(stat: str, name: str) -> int:
    return next((int(line.split()[1]) for line in stat.splitlines() if line.startswith(f"{name} ")), 0)
