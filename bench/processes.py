"""Programs that are measured: each in a session of its own, so that what it starts is counted, and ended, with it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ORDERLY_END = 5.0
"""Seconds that a program has to end by itself after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc/PID/stat says of one process."""

    pid: int
    state: str
    parent: int
    session: int
    cpu: float
    """Seconds of processor time, of all its threads, also of those that are over."""
    threads: int
    rss: int
    """Bytes."""


def parse_stat(text: str) -> Process:
    """Read one line of /proc/PID/stat. The program's name stands in brackets and may hold anything."""
    pid, _, rest = text.partition(" (")
    parts = rest.rpartition(") ")[2].split()
    cpu = (int(parts[11]) + int(parts[12])) / TICKS
    return Process(int(pid), parts[0], int(parts[1]), int(parts[3]), cpu, int(parts[17]), int(parts[21]) * PAGE)


def family(leader: int, everybody: Iterable[Process]) -> list[Process]:
    """All live processes of the leader's session, and the descendants of these, in whichever session."""
    living = [process for process in everybody if process.state not in "ZX"]
    found = {process.pid: process for process in living if leader in (process.session, process.pid)}
    grown = True
    while grown:
        more = {p.pid: p for p in living if p.parent in found and p.pid not in found}
        found |= more
        grown = bool(more)
    return list(found.values())


def everybody() -> list[Process]:
    """Every process of the machine."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append(parse_stat((folder / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in between
    return found


class Program:
    """One running program with everything that it has started. Leaving the block ends it all."""

    def __init__(
        self,
        command: Sequence[str],
        cores: set[int],
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # a child inherits it from its first instruction on
        try:
            with (log or Path(os.devnull)).open("wb") as output:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
        finally:
            os.sched_setaffinity(0, mine)

    def members(self) -> list[Process]:
        return family(self.process.pid, everybody())

    def cpu(self) -> float:
        """Seconds of processor time so far, of those that are alive."""
        return sum(process.cpu for process in self.members())

    def rss(self) -> int:
        """Resident bytes; what several processes share counts for each of them."""
        return sum(process.rss for process in self.members())

    def threads(self) -> int:
        return sum(process.threads for process in self.members())

    def descriptors(self) -> int:
        return sum(len(list(Path(f"/proc/{process.pid}/fd").iterdir())) for process in self.members())

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end, then make sure that nobody of it is left."""
        known = {process.pid for process in self.members()}
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(ORDERLY_END)
            except subprocess.TimeoutExpired:
                self.process.kill()
        while left := [
            p for p in everybody() if p.state not in "ZX" and (p.pid in known or p.session == self.process.pid)
        ]:
            for process in left:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it was quicker
            time.sleep(0.01)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
