"""Connections to providers: aiohttp's own connector dials, and what is at rest waits here for the next question.

A `ClientSession` makes a URL, a header map, a cookie look-up, a timeout and a request object for every call, which
costs as much as the rest of the proxy. What it would do for safety is done once here instead: nothing follows
redirects, keeps cookies, reads the environment or decompresses, because nothing here knows how to.
"""

import asyncio
import functools
import ssl
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
from yarl import URL

from proxy.config.snapshot import Tls
from proxy.outbox import Outbox
from proxy.transport.connection import UpstreamConnection

KEEPALIVE = 15.0
"""Seconds that an idle upstream connection is kept; shorter than the 60 s of common front ends."""
DNS_TTL = 30
"""Seconds that a resolved name is believed."""
MAX_ORIGINS = 1000
"""Origins remembered; they come from the configuration only, so more would be a mistake."""


@dataclass(slots=True, eq=False)
class Origin:
    """Scheme, host and port, and the connections to them that are at rest."""

    dial: aiohttp.ClientRequest
    """As the connector wants them: a request that is only ever dialled for, never sent."""
    host: str
    """The `Host` header."""
    resting: dict[UpstreamConnection, None] = field(default_factory=dict)
    """In the order in which they came to rest; the last one is the likeliest to be alive still."""

    def lose(self, connection: UpstreamConnection) -> None:
        """A connection at rest has ended, or rested for long enough."""
        self.resting.pop(connection, None)
        connection.discard()


class Pool:
    """All connections of one TLS identity."""

    def __init__(self, tls: Tls) -> None:
        self._connector = aiohttp.TCPConnector(limit=0, ssl=_ssl_context(tls), ttl_dns_cache=DNS_TTL, force_close=True)
        loop = asyncio.get_running_loop()
        self.outbox = Outbox(loop)
        self._connector._factory = cast("Any", functools.partial(UpstreamConnection, loop, self.outbox))  # noqa: SLF001
        self._loop = loop
        self.time = loop.time
        """Monotonic seconds."""
        self._origins: dict[str, Origin] = {}
        self._split: dict[str, tuple[Origin, str]] = {}
        """Fixed URLs that were split already: as many as there are endpoints."""

    def origin(self, url: str, *, fixed: bool = False) -> tuple[Origin, str]:
        """Split an encoded URL into its origin and its request target; what is `fixed` is split once.

        Raises ValueError for one that is not encoded.
        """
        found = self._split.get(url)
        if found is not None:
            return found
        slash = url.find("/", url.index("://") + 3)
        name, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
        if not target.isprintable() or " " in target:
            raise ValueError("a request target must be percent-encoded")
        origin = self._origins.get(name)
        if origin is None:
            if len(self._origins) >= MAX_ORIGINS:
                self._forget_origins()
            parsed = URL(name)
            dial = aiohttp.ClientRequest("GET", parsed, loop=self._loop)
            origin = self._origins[name] = Origin(dial, parsed.host_port_subcomponent or "")
        if fixed:
            self._split[url] = origin, target
        return origin, target

    def take(self, origin: Origin) -> UpstreamConnection | None:
        """Return the connection that came to rest last, if there is a good one."""
        resting = origin.resting
        while resting:
            connection, _ = resting.popitem()
            connection.when_lost = None
            if connection.reusable():
                return connection
            connection.discard()
        return None

    async def dial(self, origin: Origin, limit: float) -> UpstreamConnection:
        """Make a new connection within `limit` seconds (DNS, TCP and TLS together).

        Raises aiohttp's connector errors; too slow is its `ConnectionTimeoutError`.
        """
        timeout = aiohttp.ClientTimeout(connect=limit, ceil_threshold=limit + 1)
        try:
            lease = await self._connector.connect(origin.dial, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("too slow") from error
        connection = cast("UpstreamConnection", lease.protocol)  # the connector's factory makes no other
        connection.lease = lease
        return connection

    def give_back(self, origin: Origin, connection: UpstreamConnection) -> None:
        """Let a connection rest whose answer was read to its end, if it may be used again."""
        transport = connection.transport
        # An early answer to a request that is still being written leaves the connection in the middle of it.
        if not connection.reusable() or transport is None or transport.get_write_buffer_size():
            connection.discard()
            return
        origin.resting[connection] = None
        connection.rest(self.time() + KEEPALIVE, origin.lose)

    async def close(self) -> None:
        """Close every connection."""
        self._forget_origins()
        await self._connector.close()

    def _forget_origins(self) -> None:
        for origin in self._origins.values():
            for connection in tuple(origin.resting):
                origin.lose(connection)
        self._origins.clear()
        self._split.clear()


def _ssl_context(tls: Tls) -> ssl.SSLContext | bool:
    if tls == Tls():
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context
