"""What is to be written to many sockets, written in one burst.

A write wakes whoever reads at the other end, and the kernel takes the place of our own code in the processor's caches.
Where many exchanges are under way that costs a fifth of the time: so what one turn of the event loop has to write is
kept until all of it is there. Where few are, it goes out at once, and no answer is later for it.
"""

import asyncio

CROWD = 4
"""Exchanges under way from which on writes are kept."""
LARGE = 64 * 1024
"""Bytes that are never kept: who writes them wants to know whether the reader has room for more."""


class Outbox:
    """Writes for all connections of one side, in the order in which they ask."""

    __slots__ = ("_kept", "_loop", "under_way")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.under_way = 0
        """Exchanges, as counted by whoever writes."""
        self._loop = loop
        self._kept: list[tuple[asyncio.WriteTransport, bytes]] = []

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write now, or in the next turn; a connection that is closed by then has nothing to be told."""
        if self.under_way >= CROWD and len(data) < LARGE:
            if not self._kept:
                self._loop.call_soon(self.flush)
            self._kept.append((transport, data))
            return
        if self._kept:
            self.flush()
        transport.write(data)

    def flush(self) -> None:
        """Write now what is kept: its time has come, or a connection is about to be closed."""
        kept, self._kept = self._kept, []
        for transport, data in kept:
            if not transport.is_closing():
                transport.write(data)
