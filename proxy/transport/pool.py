"""Connections to providers: aiohttp's own connector and response protocol, without a `ClientSession` on top.

A session makes a URL, a header map, a cookie look-up, a timeout and a request object for every call, which costs as
much as the rest of the proxy. What it would do for safety is done once here instead: nothing follows redirects, keeps
cookies, reads the environment or decompresses, because nothing here knows how to.
"""

import asyncio
import functools
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from proxy.config.snapshot import Tls

KEEPALIVE = 15.0
"""Seconds that an idle upstream connection is kept; shorter than the 60 s of common front ends."""
DNS_TTL = 30
"""Seconds that a resolved name is believed."""
MAX_ORIGINS = 1000
"""Origins remembered; they come from the configuration only, so more would be a mistake."""


class UpstreamProtocol(ResponseHandler):
    """One connection to a provider; counts its answers, because a pooled one may be closed already."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.answers = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port as the connector wants them: a request that is only ever dialled for, never sent."""

    dial: aiohttp.ClientRequest
    host: str
    """The `Host` header."""


class Pool:
    """All connections of one TLS identity. `fresh` ones are never taken from the pool and never returned to it."""

    def __init__(self, tls: Tls, *, fresh: bool) -> None:
        context = _ssl_context(tls)
        if fresh:
            self._connector = aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=DNS_TTL, force_close=True)
        else:
            self._connector = aiohttp.TCPConnector(
                limit=0, ssl=context, ttl_dns_cache=DNS_TTL, keepalive_timeout=KEEPALIVE
            )
        loop = asyncio.get_running_loop()
        self._connector._factory = functools.partial(UpstreamProtocol, loop)  # type: ignore[assignment]  # noqa: SLF001
        self._loop = loop
        self._origins: dict[str, Origin] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    def origin(self, url: str) -> tuple[Origin, str]:
        """Split an encoded URL into its origin and its request target."""
        slash = url.find("/", url.index("://") + 3)
        name, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
        origin = self._origins.get(name)
        if origin is None:
            if len(self._origins) >= MAX_ORIGINS:
                self._origins.clear()
            parsed = URL(name)
            dial = aiohttp.ClientRequest("GET", parsed, loop=self._loop)
            origin = self._origins[name] = Origin(dial, parsed.host_port_subcomponent or "")
        return origin, target

    async def connect(self, origin: Origin, limit: float) -> Connection:
        """Take a pooled connection or dial within `limit` seconds (DNS, TCP and TLS together).

        Raises aiohttp's connector errors; too slow is its `ConnectionTimeoutError`.
        """
        timeout = self._timeouts.get(limit)
        if timeout is None:
            timeout = self._timeouts[limit] = aiohttp.ClientTimeout(connect=limit, ceil_threshold=limit + 1)
        try:
            return await self._connector.connect(origin.dial, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("too slow") from error

    def time(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()


def _ssl_context(tls: Tls) -> ssl.SSLContext | bool:
    if tls == Tls():
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context
