"""A TCP proxy that spoils a connection between two honest ends: toxiproxy's eight toxics.

    async with Link(upstream.port) as link:
        link.toxic = Toxic(latency=0.2)         # holds for bytes and connections from now on
        ... ask http://127.0.0.1:{link.port} ...

Toxics act on what flows from the server to the client, the direction in which answers come.
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab import http1

PIECE = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """What is wrong with the link; several may be at once. None and False: not this."""

    down: bool = False
    """Nobody listens: connections are reset as they are made, and those that exist with the next byte."""
    latency: float | None = None
    """Seconds before each piece."""
    bandwidth: int | None = None
    """Bytes per second."""
    slow_close: float | None = None
    """Seconds between the server's FIN and the client's seeing it."""
    timeout: float | None = None
    """Nothing passes, and after that many seconds the connection is closed."""
    reset_peer: float | None = None
    """Seconds after which the connection is reset."""
    slicer: int | None = None
    """Bytes per segment."""
    limit_data: int | None = None
    """Bytes after which the connection is closed."""


class Link:
    """A port that leads to another port of 127.0.0.1."""

    def __init__(self, target: int, toxic: Toxic | None = None) -> None:
        self.target = target
        self.toxic = toxic or Toxic()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect the two ends until one of them, or a toxic, ends it."""
        far: asyncio.StreamWriter | None = None
        try:
            if self.toxic.down:
                raise ConnectionResetError
            source, far = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.timeout(self.toxic.reset_peer), asyncio.TaskGroup() as ends:
                asking = ends.create_task(_pass_on(reader, far))
                await self._spoil(source, writer)
                asking.cancel()
        except* (TimeoutError, ConnectionError):
            http1.reset(writer.transport)
        finally:
            for end in (writer, far):
                if end is not None:
                    end.close()

    async def _spoil(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on the server's bytes as the toxic of that moment has it."""
        passed = 0
        while piece := await reader.read(PIECE):
            toxic = self.toxic
            if toxic.down:
                raise ConnectionResetError
            if toxic.timeout is not None:
                await asyncio.sleep(toxic.timeout)
                return
            if toxic.limit_data is not None:
                piece = piece[: toxic.limit_data - passed]
            await asyncio.sleep(toxic.latency or 0)
            for start in range(0, len(piece), toxic.slicer or PIECE):
                cut = piece[start : start + (toxic.slicer or PIECE)]
                writer.write(cut)
                await writer.drain()
                await asyncio.sleep(len(cut) / toxic.bandwidth if toxic.bandwidth else 0)
            passed += len(piece)
            if toxic.limit_data is not None and passed >= toxic.limit_data:
                return
        await asyncio.sleep(self.toxic.slow_close or 0)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on the client's bytes and its FIN."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
