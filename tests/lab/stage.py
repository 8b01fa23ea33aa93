"""Where a scenario is played: the gateway, two upstreams behind it, clients in front, and a history of it all."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import http1
from lab.client import RawClient, Response
from lab.gateway import Gateway, Sidestep
from lab.history import History, Sent
from lab.sidecar import eventually
from lab.upstream import Upstream

HANG = 20.0
"""Seconds after which the lab gives a request up: it hangs."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Handed to a scenario. `expect` says what went otherwise; everything that was asked lands in the history."""

    gateway: Gateway
    primary: Upstream
    secondary: Upstream
    history: History
    folder: Path
    names: tuple[str, str] = ("primary", "secondary")
    """The upstreams' names in the gateway's configuration."""
    requests: int = 20
    """How many requests a storm is made of."""
    seed: int = 0
    broken: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> Sidestep:
        """The gateway, for scenarios that look inside."""
        assert isinstance(self.gateway, Sidestep), "this scenario is not portable"
        return self.gateway

    @property
    def random(self) -> random.Random:
        """Chance that follows from the seed."""
        return random.Random(self.seed)

    def expect(self, condition: object, otherwise: str) -> None:
        """Note what was expected and did not come."""
        if not condition:
            self.broken.append(otherwise)

    def see(self, text: str) -> None:
        """Note for the table."""
        self.seen.append(text)

    async def ask(
        self, nonce: str = "", *, stream: bool = False, client: RawClient | None = None, **fields: Any
    ) -> Sent:
        """Ask one question and live through its answer, on a connection of its own unless given one."""
        nonce = nonce or f"nonce-{len(self.history.sent)}"
        sent = Sent(nonce, stream, asyncio.get_running_loop().time())
        self.history.sent.append(sent)
        headers = fields.pop("headers", None)
        data = self.gateway.chat(nonce, headers=headers, **({"stream": True} if stream else {}), **fields)
        if client is not None:
            await converse(client, sent, data)
        else:
            async with self.gateway.client() as fresh:
                await converse(fresh, sent, data)
        return sent

    async def storm(
        self,
        count: int | None = None,
        *,
        workers: int = 4,
        stream: bool | None = None,
        pause: float = 0.0,
        **fields: Any,
    ) -> list[Sent]:
        """Ask many questions over a few kept-alive connections, every other one streamed unless told."""
        total = self.requests if count is None else count
        numbers = iter(range(total))
        start = len(self.history.sent)

        async def work() -> None:
            client: RawClient | None = None
            try:
                for number in numbers:
                    if client is None:
                        client = await self.gateway.client().__aenter__()
                    wants = number % 2 == 1 if stream is None else stream
                    sent = await self.ask(f"nonce-{start}-{number}", stream=wants, client=client, **fields)
                    if not sent.complete or (sent.headers.get("connection") or "").lower() == "close":
                        client.writer.close()
                        client = None
                    await asyncio.sleep(pause)
            finally:
                if client is not None:
                    await client.__aexit__(None, None, None)

        await asyncio.gather(*(work() for _ in range(workers)))
        return self.history.sent[start:]

    async def raw(self, data: bytes, *, within: float = HANG) -> Response:
        """Send bytes as they are and read one answer; nobody counts them as a request."""
        self.history.uncounted = True
        async with asyncio.timeout(within), self.gateway.client() as client:
            return await client.ask(data)

    async def eventually(self, condition: Callable[[], Awaitable[bool]], otherwise: str, within: float = 3.0) -> bool:
        """Expect something soon; tells whether it came."""
        try:
            await eventually(condition, within)
        except AssertionError:
            self.broken.append(f"{otherwise}, not within {within:g} s")
            return False
        return True

    async def breaker(self, place: int = 0) -> str:
        """Tell the state of the primary's (0) or the secondary's (1) breaker."""
        page = await self.ours.metrics()
        states = ("closed", "open", "half_open")
        labels = {"provider": self.names[place]}
        return next(state for state in states if page.sum("sidestep_breaker_state", state=state, **labels))


async def converse(client: RawClient, sent: Sent, data: bytes) -> None:
    """Send a request and note everything that comes of it."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HANG):
            await client.send(data)
            response = await client.head()
            sent.status, sent.headers = response.status, response.headers
            async for piece in client.pieces(response):
                sent.note(piece, loop.time())
            sent.complete = True
        sent.ended = loop.time()
    except TimeoutError:
        return
    except http1.IncompleteMessage:
        sent.ended = loop.time()
        sent.problem = "" if sent.status is not None else "was closed without an answer"
    except ConnectionError as error:
        sent.ended = loop.time()
        sent.problem = f"was reset: {error}"
