"""Everything that makes up a running sidecar: engine, telemetry, the two listeners, and their orderly end."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from proxy import sensor
from proxy.clock import Clock, SystemClock
from proxy.config.snapshot import Address, Snapshot
from proxy.engine import Engine
from proxy.prober import Prober
from proxy.reload import Reloader, Result, Source
from proxy.server.admin.desk import Desk
from proxy.server.admin.journal import Journal
from proxy.server.admin.management import Management, result_document
from proxy.server.connection import ClientConnection
from proxy.server.data import DataListener
from proxy.server.guard import GuardedServer
from proxy.server.listening import listen
from proxy.statistics import Statistics
from proxy.telemetry.hub import Telemetry
from proxy.telemetry.logs import Closer, log_requests

logger = logging.getLogger("sidestep.server")

LAST_WORDS = 0.4
"""Seconds that requests get after the drain timeout to come to their end; aiohttp waits for this long twice, and a
second signal promises an end within a second."""


@dataclass(slots=True)
class Sidecar:
    """One process's worth of sidestep. `start`, then `drain` or not, then `close`."""

    snapshot: Snapshot
    source: Source | None = None
    """The files behind the snapshot, watched while it runs; None: they are not."""
    state_dir: Path | None = None
    """Where a token for the operator is kept when the configuration names none; None: then nobody manages it."""
    clock: Clock = field(default_factory=SystemClock)
    logs: Closer | None = None
    """Where log lines go; None: through whatever logging the embedding program has set up."""
    engine: Engine = field(init=False)
    telemetry: Telemetry = field(init=False)
    address: Address = field(init=False)
    """Where the app's listener really listens (port 0 is resolved)."""
    admin_address: Address = field(init=False)
    prober: Prober = field(init=False)
    """Checks the providers' health."""
    reloader: Reloader | None = field(init=False, default=None)
    _watching: asyncio.Task[None] | None = field(init=False, default=None)
    _sensing: asyncio.Task[None] | None = field(init=False, default=None)
    statistics: Statistics = field(init=False)
    journal: Journal = field(init=False)
    management: Management = field(init=False)
    _desk: Desk | None = field(init=False, default=None)
    _data: DataListener = field(init=False)
    _servers: list[tuple[asyncio.Server, GuardedServer]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.clock)
        self.engine.adopt(self.snapshot)
        self.journal = Journal()
        self.telemetry = Telemetry(
            self.snapshot.telemetry,
            self.engine.registry,
            self.clock,
            lambda: self.engine.generation.snapshot,
            log_lines_dropped=lambda: self.logs.dropped if self.logs else 0,
            log_requests=self.logs.log_requests if self.logs else log_requests,
            watch=self.journal.observe,
        )
        self.statistics = Statistics(self.clock.wall())
        self.engine.observers += [self.telemetry.observe, self.statistics.observe]
        self._data = DataListener(self.engine, self.clock, self.telemetry.new_record)
        self.prober = Prober(self.engine, self.telemetry.metrics.checked)
        if self.source is not None:
            self.reloader = Reloader(self, self.source, self.clock, self._reloaded)
        self.management = Management(
            self.engine,
            self.statistics,
            self.journal,
            self.clock,
            reloader=self.reloader,
            check=self.prober.check,
        )

    def begin(self) -> None:
        """Start what runs beside the requests: health checks, the load sensor, the watch over the files."""
        load = self.engine.registry.load
        sensing = sensor.watch(load, lambda: self.snapshot.server.limits, self.clock)
        self._sensing = asyncio.create_task(sensing, name="sensor")
        self.prober.start()
        if self.reloader is not None:
            self._watching = asyncio.create_task(self.reloader.watch(), name="reload")

    async def start(self) -> None:
        """Bind both listeners and serve. Raises ListenError."""
        server = self.snapshot.server
        self._desk = Desk(server, self.management, self.telemetry.metrics, lambda: self._data.ready, self.state_dir)
        self._servers.append((await self._desk.open(), self._desk.server))
        self.admin_address = self._desk.address
        await self.serve(server.listen)
        logger.info("listening", extra={"address": str(self.address), **self._desk.whereabouts()})

    async def serve(self, address: Address, *, shared: bool = False) -> None:
        """Bind the app's listener alone: `shared` when other workers have it too. Raises ListenError."""
        server = GuardedServer(self._data.handle, self.snapshot.server.limits, ClientConnection)
        listener, self.address = await listen(server, address, shared=shared)
        self._servers.append((listener, server))
        self.begin()

    def adopt(self, snapshot: Snapshot) -> None:
        """Put another configuration in force, and tell everything that keeps settings of its own."""
        self.engine.adopt(snapshot)
        for _, server in self._servers:
            server.limits = snapshot.server.limits
        if snapshot.telemetry != self.snapshot.telemetry:
            self.telemetry.adopt(snapshot.telemetry)
        self.prober.adopt()
        self.snapshot = snapshot

    async def reload(self) -> None:
        """Read the files again now, whether they changed or not."""
        if self.reloader is not None:
            await self.reloader.reload()

    async def drain(self) -> None:
        """Say on /readyz that we leave, go on accepting for `drain.delay`, then let running requests finish."""
        drain = self.snapshot.server.drain
        self._data.ready = False
        logger.info("draining", extra={"delay_seconds": drain.delay, "timeout_seconds": drain.timeout})
        await self.clock.sleep(drain.delay)
        # Only the app's listener, bound last: a liveness probe that found nobody would kill the answers under way.
        listener, server = self._servers[-1]
        listener.close()
        server.pre_shutdown()
        if not await self._idle(drain.timeout):
            self._data.interrupt()
            await self._idle(LAST_WORDS)

    async def _idle(self, within: float) -> bool:
        """Wait until nothing is being answered, for at most so many seconds; say whether it came to that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.engine.registry.in_flight:
                    await self.clock.sleep(0.05)
        return not self.engine.registry.in_flight

    async def close(self) -> None:
        """Stop at once: end what still runs, close every socket, send the last spans."""
        for task in (self._watching, self._sensing):
            if task is not None:
                task.cancel()
        await self.prober.close()
        self.journal.close()
        for listener, _ in self._servers:
            listener.close()
        self._data.interrupt()
        await asyncio.gather(*(server.shutdown(LAST_WORDS) for _, server in self._servers))
        self._servers.clear()
        await self.engine.close()
        await asyncio.to_thread(self.telemetry.close)
        if self._desk is not None:
            await self._desk.close()

    def _reloaded(self, result: Result) -> None:
        """A reload was tried: count it and tell of it."""
        self.telemetry.metrics.reloaded(ok=not result.problems)
        self.journal.tell("reload", {"ok": not result.problems, **result_document(result)})
