"""Hot reload: the files are watched, a good change becomes the next generation, a bad one changes nothing.

Watching is a look at every file's identity twice a second. It costs a handful of `stat` calls and sees what
notification misses: network file systems, a ConfigMap's symlink swap, an editor's rename. A change counts once it has
stayed as it is for one more look, so that a file written in pieces is read when it is whole.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.clock import Clock
from proxy.config.diff import Difference, difference
from proxy.config.load import POLICY_SUFFIXES, Texts, parse, read
from proxy.config.snapshot import Snapshot
from proxy.errors import ConfigError, Problem

LOOK_EVERY = 0.5
"""Seconds between two looks; a change is seen within two of them."""

logger = logging.getLogger("sidestep.reload")

Signature = tuple[tuple[str, int, int, int], ...]
"""Path, inode, size and modification time (ns) of every file; a missing file has zeros."""


class OvertakenError(Exception):
    """Somebody wrote the files while they were read."""


@dataclass(slots=True, kw_only=True)
class Source:
    """Where the configuration comes from."""

    routes: Path
    policies: Path | None
    environment: Mapping[str, str]
    adjust: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
    """What the command line changes about every generation."""

    seen: Signature = ()
    """The files as they were just before they were last read: whatever differs from it has not been read."""
    texts: Texts = field(default_factory=dict)
    """What stood in them when they were last found good."""

    def load(self, settled: Signature | None = None) -> Snapshot:
        """Read, validate and build; blocks. Raises ConfigError.

        With `settled`, raises OvertakenError when the files are no longer those: half a file may be a good one.
        """
        self.seen = self.signature()
        texts = read(self.routes, self.policies)
        if settled is not None and self.signature() != settled:
            self.seen = ()
            raise OvertakenError
        snapshot = self.adjust(parse(texts, self.environment))
        self.texts = texts
        return snapshot

    def signature(self) -> Signature:
        """Identify the files as they are now, behind every symlink; blocks."""
        folder = self.policies if self.policies is not None else self.routes.parent / "policies"
        try:
            policies = sorted(path for path in folder.iterdir() if path.suffix in POLICY_SUFFIXES)
        except OSError:
            policies = []
        return tuple(_identify(path) for path in (self.routes, *policies))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one reload."""

    generation: str
    """The generation in force afterwards."""
    changed: Difference | None = None
    """What the new generation changed; None when it was refused."""
    problems: tuple[Problem, ...] = ()
    """Why it was refused."""


class Holder(Protocol):
    """Whoever holds the configuration in force: an engine, a sidecar, a crew of workers."""

    @property
    def snapshot(self) -> Snapshot:
        """The one in force."""

    def adopt(self, snapshot: Snapshot) -> None:
        """Put another one in force."""


class Reloader:
    """Loads off the event loop and swaps on it, one reload at a time."""

    def __init__(self, holder: Holder, source: Source, clock: Clock, told: Callable[[Result], None]) -> None:
        self._holder = holder
        self._source = source
        self._clock = clock
        self._told = told
        self._turn = asyncio.Lock()
        self.last: Result | None = None
        """The newest result; `problems` in it mean that the files are not what is in force."""

    @property
    def stale(self) -> bool:
        """Whether the files were refused, so that an older generation serves on."""
        return self.last is not None and bool(self.last.problems)

    async def reload(self, settled: Signature | None = None) -> Result:
        """Load the files now and put them in force if they are good. Raises what `Source.load` does for `settled`."""
        async with self._turn:
            old = self._holder.snapshot
            try:
                new = await asyncio.to_thread(self._source.load, settled)
            except ConfigError as error:
                result = Result(generation=old.generation, problems=error.problems)
            else:
                result = Result(generation=new.generation, changed=difference(old, new))
                self._holder.adopt(new)
            _announce(result)
            self.last = result
            self._told(result)
            return result

    async def watch(self) -> None:
        """Look for ever, and reload after every change that has settled."""
        source = self._source
        before = source.seen
        while True:
            await self._clock.sleep(LOOK_EVERY)
            now = await asyncio.to_thread(source.signature)
            if now == before and now != source.seen:
                with contextlib.suppress(OvertakenError):  # the next looks will see it settle
                    await self.reload(now)
            before = now


def _announce(result: Result) -> None:
    change = result.changed
    if change is None:
        problems = [str(problem) for problem in result.problems]
        message = "the new configuration was refused; the old one serves on"
        logger.error(message, extra={"problems": problems, "generation": result.generation})
        return
    if not change:
        return
    logger.info(
        "a new configuration is in force",
        extra={
            "generation": result.generation,
            "added": list(change.added),
            "removed": list(change.removed),
            "changed": list(change.changed),
        },
    )
    if change.needs_restart:
        logger.warning("some changes need a restart", extra={"keys": list(change.needs_restart)})


def _identify(path: Path) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  the path may be a symlink into another folder: its target counts
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
