"""A simulated provider: a small OpenAI-compatible server on 127.0.0.1 whose behaviour can be switched while it runs."""

import asyncio
import json
import socket
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from proxy.clock import Clock

THINKING = 0.015
"""Seconds before it begins to answer."""
PAUSE = 0.01
"""Seconds between two words of a stream."""
RETRY_AFTER = 2
"""Seconds that it asks for when it is `limited`."""


class Behaviour(StrEnum):
    """What the provider does with the next request."""

    HEALTHY = "healthy"
    DOWN = "down"
    """Refuses connections; requests that it has not begun to answer are cut off, streams that speak finish."""
    HANG = "hang"
    """Accepts and never answers."""
    ERROR = "error"
    """Answers 500."""
    LIMITED = "limited"
    """Answers 429 with a Retry-After."""
    SOFT = "soft"
    """Answers 200 with an error inside."""
    CUT = "cut"
    """Hangs up in the middle of every answer."""


class SimulatedProvider:
    """Use as `async with SimulatedProvider("primary", clock) as provider`, then set its behaviour with `behave`."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.behaviour = Behaviour.HEALTHY
        self._clock = clock
        self._server = web.Server(self._handle)
        self._listener: asyncio.Server | None = None
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]
        """Kept for life: a provider that is down still holds its port, so that nobody else moves in."""
        self._speaking: set[asyncio.BaseTransport] = set()
        self._switched = asyncio.Event()
        self.waiting = 0
        """Questions that hang right now."""

    @property
    def base_url(self) -> str:
        """What stands as `base_url` in routes.yaml."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.behave(Behaviour.DOWN)
        self._socket.close()
        await self._server.shutdown(0)

    async def behave(self, behaviour: Behaviour) -> None:
        """Change at once, also for requests that wait for an answer."""
        before, self.behaviour = self.behaviour, behaviour
        self._switched.set()
        self._switched = asyncio.Event()
        if behaviour is Behaviour.DOWN and before is not Behaviour.DOWN:
            self._fall()
        elif behaviour is not Behaviour.DOWN and before is Behaviour.DOWN:
            await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, sock=self._socket)

    def _fall(self) -> None:
        """Refuse: the port stays bound but nobody listens on it."""
        if self._listener is not None:
            self._listener.close()
        self._socket = _bound(self.port)
        for connection in self._server.connections:
            if connection.transport is not None and connection.transport not in self._speaking:
                connection.transport.abort()

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer, unless this provider has died, or its client left, in the meantime."""
        try:
            return await self._answer(http)
        except ConnectionError:
            return web.Response()
        finally:
            if self.behaviour is Behaviour.DOWN and http.transport is not None:
                http.transport.close()

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": self.name, "object": "model"}]})
        try:
            question = json.loads(await http.read())
            words = self._words(question["messages"][-1]["content"])
        except (ValueError, LookupError, TypeError):
            return _error(400, "invalid_request_error", "messages with a text in the last one are needed")
        await self._think()
        match self.behaviour:
            case Behaviour.ERROR:
                return _error(500, "server_error", f"{self.name} is simulated to fail")
            case Behaviour.LIMITED:
                return _error(429, "rate_limit_error", "slow down", {"retry-after": str(RETRY_AFTER)})
            case Behaviour.SOFT:
                return _error(200, "server_error", f"{self.name} failed and says so under a 200")
        if question.get("stream") is True:
            return await self._speak(http, question, words)
        return await self._write(http, question, words)

    def _words(self, asked: str) -> list[str]:
        return f"The simulated provider {self.name} heard: {asked}".split(" ")

    async def _think(self) -> None:
        """Take a moment; take for ever while it hangs."""
        await self._clock.sleep(THINKING)
        self.waiting += 1
        while self.behaviour is Behaviour.HANG:
            await self._switched.wait()
        self.waiting -= 1

    async def _write(self, http: web.BaseRequest, question: dict[str, Any], words: list[str]) -> web.StreamResponse:
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": len(words) + 1}
        body = json.dumps(self._head(question, "chat.completion") | {"choices": [choice], "usage": usage}).encode()
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(body))})
        await response.prepare(http)
        if self.behaviour is Behaviour.CUT:
            await response.write(body[: len(body) // 2])
            _hang_up(http)
            return response
        await response.write(body)
        return response

    async def _speak(self, http: web.BaseRequest, question: dict[str, Any], words: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(http)
        transport = http.transport
        if transport is None:
            return response
        self._speaking.add(transport)
        try:
            await self._say(response, http, question, words)
            await response.write_eof()
        finally:
            self._speaking.discard(transport)
        return response

    async def _say(
        self, response: web.StreamResponse, http: web.BaseRequest, question: dict[str, Any], words: list[str]
    ) -> None:
        head = self._head(question, "chat.completion.chunk")

        async def send(delta: dict[str, str], finish: str | None = None) -> None:
            chunk = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

        await send({"role": "assistant"})
        for count, word in enumerate(words):
            if self.behaviour is Behaviour.CUT and count == len(words) // 2:
                _hang_up(http)
                return
            await send({"content": word if count == 0 else " " + word})
            await self._clock.sleep(PAUSE)
        await send({}, "stop")
        await response.write(b"data: [DONE]\n\n")

    def _head(self, question: dict[str, Any], kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._clock.bits(64):x}",
            "object": kind,
            "created": int(self._clock.wall()),
            "model": str(question.get("model") or self.name),
        }


def _bound(port: int) -> socket.socket:
    """Hold a port of 127.0.0.1 without listening on it: connections are refused."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    held.settimeout(0)
    return held


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    document = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return web.json_response(document, status=status, headers=headers)


def _hang_up(http: web.BaseRequest) -> None:
    if http.transport is not None:
        http.transport.abort()
