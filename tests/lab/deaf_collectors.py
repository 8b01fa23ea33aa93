"""Collectors that are no help: nobody listens, nobody answers, or it takes them for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.ports import unused_port

ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
LATE = 30.0
"""Seconds until the one that answers late does."""
SIP = 1.0
"""Seconds for each byte that the one that sips takes."""


@asynccontextmanager
async def deaf_collector(behaviour: str) -> AsyncIterator[int]:
    """Yield a port. `refuses`; `hangs` after accepting; `sips` a byte a second; answers `late`; answers `503`."""
    if behaviour == "refuses":
        yield unused_port()
        return
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)  # what a kernel takes in is not held back
    tasks: set[asyncio.Task[None]] = set()

    async def attend() -> None:
        while True:
            wire, _ = await asyncio.get_running_loop().sock_accept(listener)
            tasks.add(asyncio.create_task(WAYS[behaviour](wire)))

    listener.settimeout(0)  # asyncio waits in its place
    tasks.add(asyncio.create_task(attend()))
    try:
        yield listener.getsockname()[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listener.close()


async def _hang(wire: socket.socket) -> None:
    with wire:
        await asyncio.Event().wait()


async def _sip(wire: socket.socket) -> None:
    with wire:
        while True:
            await asyncio.gather(asyncio.get_running_loop().sock_recv(wire, 1), asyncio.sleep(SIP))


async def _answer_late(wire: socket.socket) -> None:
    await _answer(wire, LATE)


async def _refuse(wire: socket.socket) -> None:
    await _answer(wire, 0.0)


async def _answer(wire: socket.socket, after: float) -> None:
    loop = asyncio.get_running_loop()
    with wire:
        while await loop.sock_recv(wire, 65536):
            await asyncio.sleep(after)
            await loop.sock_sendall(wire, ERROR)


WAYS = {"hangs": _hang, "sips": _sip, "late": _answer_late, "503": _refuse}
