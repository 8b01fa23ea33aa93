"""The parent: reads the files, keeps the port, opens the operator's side, and leads the crew that does the work."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from proxy.clock import Clock, SystemClock
from proxy.config.snapshot import Address, Snapshot
from proxy.errors import SidestepError
from proxy.reload import Reloader, Result, Source
from proxy.server.admin.desk import Desk
from proxy.server.admin.journal import Journal
from proxy.server.admin.management import result_document
from proxy.server.listening import ListenError, listen
from proxy.server.sidecar import LAST_WORDS
from proxy.telemetry.gauges import Reading
from proxy.telemetry.logs import Closer
from proxy.telemetry.metrics import Metrics
from proxy.workers.channel import ChannelClosedError
from proxy.workers.crew import Crew, LineStyle
from proxy.workers.hiring import Hired
from proxy.workers.management import CrewManagement

END_TIME = 0.9
"""Seconds that the workers get to end at once; a second signal promises one."""
GRACE = 10.0
"""Seconds on top of the drain's own that a worker gets to end before it is ended."""
OURS = frozenset({"override", "reload"})
"""News that the parent tells itself, once, and not once for every worker."""

logger = logging.getLogger("sidestep.workers")


class Supervisor:
    """A sidecar of several processes, used like the `Sidecar` of one: `start`, then `drain` or not, then `close`."""

    def __init__(
        self,
        snapshot: Snapshot,
        source: Source,
        *,
        hired: Sequence[Hired],
        lines: LineStyle,
        state_dir: Path | None = None,
        logs: Closer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.snapshot = snapshot
        clock = clock or SystemClock()
        self._source = source
        self._hired = hired
        self._crew = Crew(len(hired), lines, clock, self._hear, texts=source.texts)
        self._metrics = Metrics(
            lambda: Reading(generation=self.snapshot.generation, log_lines_dropped=logs.dropped if logs else 0),
            version=version("sidestep"),
        )
        self._journal = Journal(lambda count: self._crew.listen(wanted=count > 0))
        self._reloader = Reloader(self, source, clock, self._reloaded)
        management = CrewManagement(
            self._crew, self._journal, self._metrics, clock, snapshot=lambda: self.snapshot, reloader=self._reloader
        )
        self._ready = True
        self._desk = Desk(snapshot.server, management, management, lambda: self._ready and self._crew.ready, state_dir)
        self._listeners: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind both addresses and begin the workers. Raises ListenError."""
        self._listeners.append(await self._desk.open())
        claimed, address = await claim(self.snapshot.server.listen)
        self._listeners.append(claimed)
        try:
            await self._crew.start(self._hired, address)
        except (SidestepError, ChannelClosedError, OSError) as error:
            raise ListenError(f"a worker could not begin: {str(error) or type(error).__name__}") from error
        self._watching = asyncio.create_task(self._reloader.watch(), name="reload")
        where = {"address": str(address), **self._desk.whereabouts()}
        logger.info("listening", extra={**where, "workers": self._crew.size})

    def adopt(self, snapshot: Snapshot) -> None:
        """Put another configuration in force, in every worker."""
        self.snapshot = snapshot
        self._desk.server.limits = snapshot.server.limits
        self._crew.overrides.adopt(snapshot)
        self._crew.adopt(self._source.texts)

    async def reload(self) -> None:
        """Read the files again now, whether they changed or not."""
        await self._reloader.reload()

    async def drain(self) -> None:
        """Say on /readyz that we leave, and wait until every worker has drained and ended, or should have."""
        self._ready = False
        self._stop_watching()
        drain = self.snapshot.server.drain
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain.delay + drain.timeout + GRACE):
                await self._crew.drain()

    async def close(self) -> None:
        """End at once, the workers first."""
        self._stop_watching()
        self._journal.close()
        for listener in self._listeners:
            listener.close()
        await asyncio.gather(self._crew.close(END_TIME), self._desk.server.shutdown(LAST_WORDS))
        await self._desk.close()

    def _stop_watching(self) -> None:
        """A configuration that comes now would have nobody to follow it."""
        if self._watching is not None:
            self._watching.cancel()

    def _reloaded(self, result: Result) -> None:
        self._metrics.reloaded(ok=not result.problems)
        self._journal.tell("reload", {"ok": not result.problems, **result_document(result)})

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        if name not in OURS:
            self._journal.tell(name, data)


async def claim(address: Address) -> tuple[asyncio.Server, Address]:
    """Bind the port that the workers will share, without listening. Raises ListenError.

    First for itself alone: SO_REUSEPORT would join in with another program of this user that listens there already.
    """
    if address.port:
        alone, address = await listen(asyncio.Protocol, address, serving=False)
        alone.close()
        await alone.wait_closed()
    return await listen(asyncio.Protocol, address, shared=True, serving=False)
