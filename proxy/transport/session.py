"""A client session with every default that a proxy must not have switched off.

No redirects (they would carry keys to another host), no cookies, no proxies from the environment, no decompression,
no silent queue for connections, no repeats behind our back, small read buffers.
"""

import ssl
from collections.abc import Mapping
from types import SimpleNamespace

import aiohttp
from yarl import URL

from proxy.config.snapshot import Tls
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head, WireRequest
from proxy.transport.failures import translate

READ_BUFFER = 16 * 1024
"""Bytes per connection before the upstream is told to wait; aiohttp's 256 KiB would cost 1.3 MB for a slow stream."""
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of one complete plain answer (several large images as base64)."""
MAX_ERROR = 256 * 1024
"""Bytes of an error body that are read."""
MAX_HEADER = 32 * 1024
KEEPALIVE = 15.0
"""Seconds that an idle upstream connection is kept; shorter than the 60 s of common front ends."""

_SKIPPED_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class AttemptError(Exception):
    """Carries a `Failure` up to where the turn is decided."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Upstream:
    """An upstream answer whose head has arrived. Whoever holds it closes it; reading to the end releases it."""

    __slots__ = ("_response", "head", "method", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.method = response.method
        self.status = response.status
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.head = Head(response.status, headers)

    async def read_all(self, limit: int) -> bytes:
        """Return the complete body, at most `limit` bytes, or raise AttemptError (`broken`)."""
        pieces = []
        size = 0
        while piece := await self.read_some():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise AttemptError(_broken(f"the provider's answer is larger than {limit} bytes"))
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    async def read_some(self) -> bytes:
        """Return the next bytes, `b""` at a proper end, or raise AttemptError (`broken`) at any other."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AttemptError(translate(error, sent=True)) from error

    def close(self) -> None:
        """Close the connection at once unless the answer was read to its end; whoever waits in a read is woken."""
        self._response.close()


class Transport:
    """Dials providers. One pool per TLS identity, made on first use and kept over reloads."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[Tls, bool], aiohttp.ClientSession] = {}

    async def send(self, wire: WireRequest, headers: Mapping[str, str], *, connect: float, tls: Tls) -> Upstream:
        """Send one request with these headers and wait for the head of its answer.

        `connect` bounds DNS, TCP and TLS together, in seconds. Raises AttemptError. A pooled connection that turns out
        to be closed is repeated once on a new one: that is the pool's staleness, not the provider's failure.
        """
        reused = SimpleNamespace(value=False)
        try:
            return await self._request(wire, headers, connect, self._session(tls, fresh=False), reused)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not reused.value or isinstance(error, aiohttp.ClientConnectorError):
                raise AttemptError(translate(error, sent=True)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AttemptError(translate(error, sent=True)) from error
        try:
            return await self._request(wire, headers, connect, self._session(tls, fresh=True), reused)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AttemptError(translate(error, sent=True)) from error

    async def close(self) -> None:
        """Close every pool."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _request(
        self,
        wire: WireRequest,
        headers: Mapping[str, str],
        connect: float,
        session: aiohttp.ClientSession,
        reused: SimpleNamespace,
    ) -> Upstream:
        response = await session.request(
            wire.method,
            URL(wire.url, encoded=True),
            data=wire.body,
            headers=headers,
            skip_auto_headers=_SKIPPED_HEADERS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect),
            trace_request_ctx=reused,
        )
        upstream = Upstream(response)
        if "content-encoding" in upstream.head.headers and upstream.head.headers["content-encoding"] != "identity":
            upstream.close()
            raise AttemptError(_broken("the provider compressed its answer although it was asked not to"))
        return upstream

    def _session(self, tls: Tls, *, fresh: bool) -> aiohttp.ClientSession:
        key = (tls, fresh)
        if key not in self._sessions:
            self._sessions[key] = _make_session(tls, fresh=fresh)
        return self._sessions[key]


def _make_session(tls: Tls, *, fresh: bool) -> aiohttp.ClientSession:
    pooling = {"force_close": True} if fresh else {"keepalive_timeout": KEEPALIVE}
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_ssl_context(tls), ttl_dns_cache=30, **pooling),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_NO_TIMEOUT,
        trust_env=False,
        auto_decompress=False,
        read_bufsize=READ_BUFFER,
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
        trace_configs=[] if fresh else [_reuse_trace()],
    )
    # aiohttp repeats idempotent methods on a connection that was reset; our own rule covers every method once.
    session._retry_connection = False  # noqa: SLF001
    return session


def _reuse_trace() -> aiohttp.TraceConfig:
    """Note whether a call went out over a pooled connection (the context is the caller's own flag)."""
    trace = aiohttp.TraceConfig(trace_config_ctx_factory=lambda trace_request_ctx: trace_request_ctx)  # type: ignore[arg-type]

    async def reused(_session: object, flag: SimpleNamespace, _parameters: object) -> None:
        flag.value = True

    trace.on_connection_reuseconn.append(reused)
    return trace


def _ssl_context(tls: Tls) -> ssl.SSLContext | bool:
    if tls == Tls():
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _broken(message: str) -> Failure:
    return Failure(error_class=ErrorClass.BROKEN, message=message)
