"""A client that asks and then takes nothing of the answer; its kernel keeps next to nothing for it either."""

import asyncio
import contextlib
import socket
from typing import Self


class LazyClient:
    """One connection, closed at the end of the block. Use as `with LazyClient(port) as client`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def ask(self, data: bytes) -> None:
        """Send a request."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        await loop.sock_sendall(self._socket, data)

    async def cut(self, within: float) -> bool:
        """Take, at last, what had arrived, and tell whether the connection ends within that many seconds."""
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(within):
                    while await asyncio.get_running_loop().sock_recv(self._socket, 65536):
                        pass
            except TimeoutError:
                return False
        return True
