"""A socket that aiohttp's connector has dialled for us, as the connector wants to see it."""

import asyncio
from typing import cast


class Dialled(asyncio.Protocol):
    """What the connector asks of a protocol. It keeps none of them: those at rest are kept by the pool."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        """None: it was closed, by us or by the other side."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport = cast("asyncio.Transport", transport)

    @property
    def should_close(self) -> bool:
        """Whether the connector is to close it when it is released."""
        return True

    @property
    def closed(self) -> "asyncio.Future[None] | None":
        """Nobody waits for its end."""
        return None

    def is_connected(self) -> bool:
        """Whether it is open."""
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        """Close the socket."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()

    def abort(self) -> None:
        """Reset it."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()
