"""Everything that makes up a running sidecar: engine, telemetry, the two listeners, and their orderly end."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from proxy import sensor
from proxy.clock import Clock, SystemClock
from proxy.config.secrets import Secret
from proxy.config.snapshot import Address, Snapshot
from proxy.engine import Engine
from proxy.prober import Prober
from proxy.reload import Reloader, Result, Source
from proxy.server.admin.journal import Journal
from proxy.server.admin.listener import AdminListener
from proxy.server.admin.management import Management, result_document
from proxy.server.admin.token_file import StateError, make_token, remove_token, token_file
from proxy.server.data import DataListener
from proxy.server.guard import GuardedServer
from proxy.statistics import Statistics
from proxy.telemetry.hub import Telemetry
from proxy.telemetry.logs import Closer, log_request

logger = logging.getLogger("sidestep.server")

LAST_WORDS = 0.4
"""Seconds that requests get after the drain timeout to come to their end; aiohttp waits for this long twice, and a
second signal promises an end within a second."""


class ListenError(Exception):
    """An address could not be bound; the message says which and why."""


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
    _token: Secret | None = field(init=False, default=None)
    """The token that was made; None when the configuration has one."""
    _data: DataListener = field(init=False)
    _servers: list[tuple[asyncio.Server, GuardedServer]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.clock)
        self.engine.adopt(self.snapshot)
        self.telemetry = Telemetry(
            self.snapshot.telemetry,
            self.engine.registry,
            self.clock,
            lambda: self.engine.generation.snapshot,
            log_lines_dropped=lambda: self.logs.dropped if self.logs else 0,
            log_request=self.logs.log_request if self.logs else log_request,
        )
        self.statistics = Statistics(self.clock.wall())
        self.journal = Journal()
        self.engine.observers += [self.telemetry.observe, self.statistics.observe, self.journal.observe]
        self.prober = Prober(self.engine, self.telemetry.metrics.checked)
        if self.source is not None:
            self.reloader = Reloader(self.engine, self.source, self.clock, self._reloaded)
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
        self._data = DataListener(self.engine, self.clock, self.telemetry.new_record)
        admin = AdminListener(
            server.admin, server.limits, self.management, self.telemetry.metrics, lambda: self._data.ready
        )
        self.admin_address = await self._listen(GuardedServer(admin.handle, server.limits), server.admin.listen)
        if admin.token is None and self.state_dir is not None:
            admin.token = self._token = await asyncio.to_thread(self._make_token, self.state_dir)
        self.address = await self._listen(GuardedServer(self._data.handle, server.limits), server.listen)
        self.begin()
        where = {"address": str(self.address), "admin_address": str(self.admin_address)}
        if self._token is not None and self.state_dir is not None:
            where["admin_token_file"] = str(token_file(self.state_dir, self.admin_address.port))
        logger.info("listening", extra=where)

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
        await asyncio.gather(*(server.shutdown(LAST_WORDS) for _, server in self._servers))
        self._servers.clear()
        await self.engine.close()
        await asyncio.to_thread(self.telemetry.close)
        if self._token is not None and self.state_dir is not None:
            await asyncio.to_thread(remove_token, self.state_dir, self.admin_address.port, self._token)

    def _reloaded(self, result: Result) -> None:
        """A reload was tried: everything that keeps settings of its own takes over the new ones."""
        self.telemetry.metrics.reloaded(ok=not result.problems)
        self.journal.tell("reload", {"ok": not result.problems, **result_document(result)})
        if result.changed is None:
            return
        snapshot = self.engine.generation.snapshot
        for _, server in self._servers:
            server.limits = snapshot.server.limits
        if snapshot.telemetry != self.snapshot.telemetry:
            self.telemetry.adopt(snapshot.telemetry)
        self.prober.adopt()
        self.snapshot = snapshot

    def _make_token(self, directory: Path) -> Secret | None:
        """Make the operator's token. A sidecar that cannot be managed still serves, so this is no reason to end."""
        try:
            return make_token(directory, self.admin_address.port)
        except StateError as error:
            # Without the traceback: the reason says it all, and remedies it.
            logger.error("nobody can manage this sidecar: no admin token", extra={"reason": str(error)})  # noqa: TRY400
            return None

    async def _listen(self, server: GuardedServer, address: Address) -> Address:
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(server, address.host, address.port, backlog=1024)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._servers.append((listener, server))
        return Address(address.host, listener.sockets[0].getsockname()[1])
