"""Binding an address, or saying in one sentence why that cannot be."""

import asyncio
from collections.abc import Callable

from proxy.config.snapshot import Address

BACKLOG = 1024
"""Connections that may wait to be accepted."""


class ListenError(Exception):
    """An address could not be bound; the message says which and why."""


async def listen(
    server: Callable[[], asyncio.BaseProtocol], address: Address, *, shared: bool = False, serving: bool = True
) -> tuple[asyncio.Server, Address]:
    """Serve at an address, each connection by a new `server()`. Raises ListenError.

    The address in the answer is the real one (port 0 is resolved).

    `shared` lets other processes of this user bind it too (SO_REUSEPORT, Linux 3.9): the system deals new connections
    out among those that listen. Without `serving` it is bound and takes no connection yet.
    """
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(
            server,
            address.host,
            address.port,
            backlog=BACKLOG,
            reuse_port=shared or None,
            start_serving=serving,
        )
    except (OSError, ValueError) as error:  # ValueError: this system knows no SO_REUSEPORT
        raise ListenError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}") from error
    return listener, Address(address.host, listener.sockets[0].getsockname()[1])
