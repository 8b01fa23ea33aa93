"""Everything that makes up a running sidecar: engine, telemetry, the two listeners, and their orderly end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.clock import Clock, SystemClock
from proxy.config.snapshot import Address, Snapshot
from proxy.engine import Engine
from proxy.server.admin import AdminListener
from proxy.server.data import DataListener
from proxy.server.guard import GuardedServer
from proxy.telemetry.hub import Telemetry

logger = logging.getLogger("sidestep.server")

LAST_WORDS = 1.0
"""Seconds that requests get after the drain timeout to be told that they end."""


class ListenError(Exception):
    """An address could not be bound; the message says which and why."""


@dataclass(slots=True)
class Sidecar:
    """One process's worth of sidestep. `start`, then `drain` or not, then `close`."""

    snapshot: Snapshot
    clock: Clock = field(default_factory=SystemClock)
    log_lines_dropped: Callable[[], int] = int
    engine: Engine = field(init=False)
    telemetry: Telemetry = field(init=False)
    address: Address = field(init=False)
    """Where the app's listener really listens (port 0 is resolved)."""
    admin_address: Address = field(init=False)
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
            self.log_lines_dropped,
        )
        self.engine.observers.append(self.telemetry.observe)

    async def start(self) -> None:
        """Bind both listeners and serve. Raises ListenError."""
        server = self.snapshot.server
        self._data = DataListener(self.engine, self.clock, self.telemetry.new_record)
        admin = AdminListener(self.telemetry.metrics, lambda: self._data.ready)
        self.admin_address = await self._listen(GuardedServer(admin.handle, server.limits), server.admin.listen)
        self.address = await self._listen(GuardedServer(self._data.handle, server.limits), server.listen)
        logger.info("listening", extra={"address": str(self.address), "admin_address": str(self.admin_address)})

    async def drain(self) -> None:
        """Say on /readyz that we leave, go on accepting for `drain.delay`, then let running requests finish."""
        drain = self.snapshot.server.drain
        self._data.ready = False
        logger.info("draining", extra={"delay_seconds": drain.delay, "timeout_seconds": drain.timeout})
        await self.clock.sleep(drain.delay)
        for listener, server in self._servers:
            listener.close()
            server.pre_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain.timeout):
                while self.engine.registry.in_flight:
                    await self.clock.sleep(0.05)

    async def close(self) -> None:
        """Stop at once: end what still runs, close every socket, send the last spans."""
        for listener, _ in self._servers:
            listener.close()
        await asyncio.gather(*(server.shutdown(LAST_WORDS) for _, server in self._servers))
        self._servers.clear()
        await self.engine.close()
        await asyncio.to_thread(self.telemetry.close)

    async def _listen(self, server: GuardedServer, address: Address) -> Address:
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(server, address.host, address.port, backlog=1024)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._servers.append((listener, server))
        return Address(address.host, listener.sockets[0].getsockname()[1])
