"""The upstream's end of one connection: writes whatever it is told to, and notes who did what and when."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lab import http1


class Left(ConnectionError):  # noqa: N818  what happened, not an error of the lab
    """The peer is gone: a FIN counts as leaving."""


@dataclass(slots=True)
class Connection:
    """The log of one connection. Times are event-loop seconds; None means not yet."""

    id: int
    opened: float
    bytes_in: int = 0
    bytes_out: int = 0
    client_left: float | None = None
    """When the client's FIN or RST arrived."""
    closed: float | None = None
    closed_by: str | None = None
    """`client` or `upstream`: who ended it first."""
    requests: int = 0
    busy: bool = False
    """Whether a request on it is being answered; False again when its answer is written."""


class Wire(asyncio.Protocol):
    """One accepted connection. Writing raises `Left` once the peer is gone."""

    def __init__(
        self,
        opened: Callable[["Wire"], int],
        serve: Callable[["Wire"], Awaitable[None]],
        changed: Callable[[], None],
        mistake: Callable[[Exception], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=2**20)
        self.log = Connection(-1, loop.time())
        self.transport: Any = None
        self.done = False
        """Whether the upstream itself has ended the connection."""
        self._opened, self._serve, self._changed, self._mistake = opened, serve, changed, mistake
        self._loop = loop
        self._peer_left = asyncio.Event()
        self._closed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.reader.set_transport(transport)
        self.log.id = self._opened(self)
        self.task = self._loop.create_task(self._run())
        self._changed()

    def data_received(self, data: bytes) -> None:
        self.log.bytes_in += len(data)
        self.reader.feed_data(data)

    def eof_received(self) -> bool:
        self._note_departure()
        self.reader.feed_eof()
        # Stay half open: a fault decides what becomes of the rest. TLS has no half-open state.
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, error: Exception | None) -> None:
        self._note_departure()
        self.log.closed = self._loop.time()
        self._writable.set()
        self._closed.set()
        if error is None:
            self.reader.feed_eof()
        else:
            self.reader.set_exception(error)
        self._changed()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Write, and wait while the peer does not read."""
        if self._peer_left.is_set() or self.transport.is_closing():
            raise Left
        self.transport.write(data)
        self.log.bytes_out += len(data)
        await self._writable.wait()

    async def drip(self, data: bytes, pause: float, size: int = 1) -> None:
        """Write `size` bytes at a time, each piece in a segment of its own, `pause` seconds apart."""
        for position in range(0, len(data), size):
            await self.send(data[position : position + size])
            await self.pause(pause)

    async def pause(self, seconds: float) -> None:
        """Wait; raises `Left` at once when the peer leaves meanwhile. Zero only lets others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
        elif await self.gone_within(seconds):
            raise Left

    async def gone_within(self, seconds: float | None) -> bool:
        """Tell whether the peer leaves within that many seconds; None waits for as long as it takes."""
        try:
            async with asyncio.timeout(seconds):
                await self._peer_left.wait()
        except TimeoutError:
            return False
        return True

    def finish(self) -> None:
        """End with a FIN after what was written."""
        self._end()
        self.transport.close()

    def reset(self) -> None:
        """End with an RST."""
        self._end()
        http1.reset(self.transport)

    async def abandon(self) -> None:
        """Stop at once and wait until the socket is closed."""
        self._end()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        self.transport.abort()
        await self._closed.wait()

    async def _run(self) -> None:
        try:
            await self._serve(self)
            if not self.done:
                self.finish()
        except (ConnectionError, http1.IncompleteMessage):
            self.transport.abort()
        except Exception as error:  # noqa: BLE001  a mistake in a test or in the lab, raised again by `go_down`
            self._mistake(error)
            self.transport.abort()

    def _end(self) -> None:
        self.done = True
        if self.log.closed_by is None:
            self.log.closed_by = "upstream"

    def _note_departure(self) -> None:
        if self.log.closed_by is None:
            self.log.closed_by = "client"
            self.log.client_left = self._loop.time()
        self._peer_left.set()
        self._changed()
