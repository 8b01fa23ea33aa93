"""A sidecar that runs somewhere else, over its two listeners."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from proxy.config.secrets import Secret
from proxy.dialects.documents import write_json
from proxy.envelope import encode
from proxy.manager.backend import Answer, Document, ManagementError
from proxy.server.admin.client import AdminClient, AskError, segment

CONNECT = 5.0
"""Seconds to connect to the sidecar; how long an answer may take is its policies' affair."""
GRACE = 5.0
"""Seconds on top of a call's own timeout, in which the sidecar itself says that it has passed."""
EVENTS = "text/event-stream"

_LOST = (aiohttp.ClientError, OSError)


class Remote:
    """A `Backend` over HTTP. Its methods that are not `async` block for one short request."""

    def __init__(
        self, url: str, admin: str, token: Secret | None, client_key: Secret | None, state_dir: Path | None
    ) -> None:
        self._base = _base(url)
        self._admin = AdminClient(admin, token, state_dir)
        self._client_key = client_key
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[_Stream] = set()

    async def open(self) -> None:
        """Make the connections' pool; nothing is sent yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection; a stream that is being read breaks."""
        for stream in tuple(self._streams):
            stream.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, path: str, headers: Mapping[str, str], document: Document) -> Answer:
        """Post the document to the app's listener."""
        assert self._session is not None  # noqa: S101  the manager opens it before anything else
        body = write_json(document)
        sent = {"content-type": "application/json", **headers}
        if self._client_key is not None:
            sent["authorization"] = f"Bearer {self._client_key.reveal()}"
        limit = headers.get("x-sidestep-timeout")
        try:
            async with asyncio.timeout(None if limit is None else float(limit) + GRACE):
                response = await self._session.post(self._base + path, data=body, headers=sent, allow_redirects=False)
                return await self._answer(response)
        except TimeoutError:
            return _unreachable(f"the sidecar at {self._base} does not answer", "timeout")
        except _LOST as error:
            return _unreachable(f"the sidecar at {self._base} is not reachable: {type(error).__name__}", "unreachable")

    async def _answer(self, response: aiohttp.ClientResponse) -> Answer:
        """Read a whole answer, or hand on a stream once its head is there."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status == 200 and response.content_type == EVENTS:
            return Answer(response.status, headers, pieces=_Stream(response, self._streams))
        async with response:
            return Answer(response.status, headers, await response.read())

    def status(self) -> Document:
        """Everything that is known."""
        return self._manage("GET", "/admin/status")

    def statistics(self) -> Document:
        """The counts."""
        return self._manage("GET", "/admin/stats")

    def reset_statistics(self) -> None:
        """Count from 0."""
        self._manage("POST", "/admin/stats/reset")

    def enable(self, name: str, *, enabled: bool) -> None:
        """Let a provider be asked, or not."""
        self._manage("POST", f"/admin/providers/{segment(name)}/{'enable' if enabled else 'disable'}")

    def choose_strategy(self, route: str, strategy: str) -> None:
        """Give a route another strategy."""
        self._manage("PUT", f"/admin/routes/{segment(route)}/strategy", {"strategy": strategy})

    async def names(self) -> list[str]:
        """Every provider's name."""
        status = await asyncio.to_thread(self.status)
        return list(status["providers"])

    async def check(self, name: str) -> Document:
        """Check a provider now."""
        return await asyncio.to_thread(self._manage, "POST", f"/admin/providers/{segment(name)}/check")

    def _manage(self, method: str, path: str, document: Document | None = None) -> Document:
        try:
            return self._admin.ask(method, path, document)
        except AskError as error:
            raise ManagementError(str(error)) from None


class _Stream:
    """The body of a streamed answer. Closed before its end it closes the connection, and the sidecar its provider's."""

    def __init__(self, response: aiohttp.ClientResponse, among: "set[_Stream]") -> None:
        self._response = response
        self._among = among
        among.add(self)

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end. Raises OSError when the connection breaks."""
        try:
            return await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise ConnectionError("the connection to the sidecar broke") from error

    def close(self) -> None:
        """Close the connection unless it is back in the pool; whoever waits in a read is woken."""
        self._among.discard(self)
        if not self._response.content.is_eof():
            self._response.content.set_exception(ConnectionError("the stream was closed"))
        self._response.close()


def _unreachable(message: str, code: str) -> Answer:
    return Answer(503, {}, encode({"error": {"message": message, "type": "server_error", "param": None, "code": code}}))


def _base(url: str) -> str:
    """The origin of the app's listener; with or without the `/v1` that OpenAI's clients want. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("this is no address of a sidecar; one looks like http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
