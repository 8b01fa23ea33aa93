"""The lying upstream: a provider on a raw socket that breaks in every way a provider can, on request.

    async with Upstream("p1") as upstream:                      # honest
        upstream.fault = "status:503"                           # from now on
        upstream.schedule = ["reset", "cut:3", "ok"]            # one per request, then `fault` again
        upstream.schedule = share("status:500", 0.2, seed=7)    # see lab.schedules
        model = "fault:stall:2"                                 # or as a client asks, by the model's name
        assert upstream.requests[-1].document["stream"]

`lab.faults` holds every fault, `upstream.requests` and `upstream.connections` what really arrived. Not made with
aiohttp: it must be able to lie on the wire.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from lab import http1
from lab.answers import Received, Voice
from lab.exchange import Exchange
from lab.faults import AT_CONNECT, BEFORE_BODY, FAULTS, Fault
from lab.schedules import Schedule
from lab.wire import Connection, Wire

MODEL_PREFIX = "fault:"


class Upstream:
    """One simulated provider on a port of 127.0.0.1. `flavour` is `openai`, `openrouter`, `pollinations` or `gen`."""

    def __init__(
        self,
        name: str = "p1",
        *,
        flavour: str = "openai",
        fault: str | Fault = "ok",
        schedule: Schedule | Sequence[str | Fault] | None = None,
        tokens: int = 5,
        interval: float = 0.0,
        obey_models: bool = True,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        cookie: str = "",
    ) -> None:
        self.voice = Voice(name, flavour, tokens)
        self.interval = interval
        """Seconds between the tokens of a stream."""
        self.fault = fault
        """What happens where neither a model's name nor the schedule says otherwise."""
        self.obey_models = obey_models
        """Whether a model named `fault:...` chooses the fault; False for the healthy one of a pair."""
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self.port = port
        self.cookie = cookie
        """The value of a `Set-Cookie` in every answer; none when empty."""
        self._turn = 0
        self._schedule: Schedule | None = None
        self.schedule = schedule
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._wires: list[Wire] = []
        self._changed = asyncio.Event()
        self._mistakes: list[BaseException] = []

    @property
    def name(self) -> str:
        """What its tokens begin with."""
        return self.voice.name

    @property
    def url(self) -> str:
        """Its origin, without a path: `http://127.0.0.1:1234`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def schedule(self) -> Schedule | None:
        """Which fault the n-th request from now on meets; None leaves it to `fault`."""
        return self._schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | Sequence[str | Fault] | None) -> None:
        self._turn = 0
        if schedule is None or callable(schedule):
            self._schedule = schedule
        else:
            faults = list(schedule)
            self._schedule = lambda turn: faults[turn] if turn < len(faults) else None

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return sum(connection.closed is None for connection in self.connections)

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go_down()

    async def go_down(self) -> None:
        """Stop listening and drop every connection; a connect is refused now. Raises what went wrong in the lab."""
        if self._server is not None:
            self._server.close()
            self._server = None
        wires, self._wires = self._wires, []
        for wire in wires:
            await wire.abandon()
        if self._mistakes:
            raise self._mistakes.pop()

    async def come_back(self) -> None:
        """Listen, after `go_down` on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def until(self, condition: Callable[[], bool], *, within: float = 2.0) -> None:
        """Wait until the logs fulfil a condition; raises TimeoutError after that many seconds."""
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _read_body(self, exchange: Exchange) -> None:
        """Read the rest of a request into its record."""
        asked = exchange.asked
        if (asked.headers.get("expect") or "").lower() == "100-continue":
            await exchange.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts = [part async for part in http1.pieces(exchange.wire.reader, asked.headers, until_close=False)]
        asked.body = b"".join(parts)
        if "json" in (asked.headers.get("content-type") or ""):
            try:
                asked.document = json.loads(asked.body)
            except ValueError:
                asked.document = None  # what a client sent is its own affair; the bytes are in the log

    def _accept(self) -> Wire:
        return Wire(self._opened, self._serve, self._changed.set, self._mistakes.append)

    def _opened(self, wire: Wire) -> int:
        """Register a connection, over TLS once the handshake is done, and give it its number."""
        self._wires = [known for known in self._wires if known.log.closed is None]
        self._wires.append(wire)
        self.connections.append(wire.log)
        return len(self.connections) - 1

    async def _serve(self, wire: Wire) -> None:
        """Answer request after request until one side ends the connection."""
        drawn, fresh = self._scheduled(), self._schedule is not None
        if (fault := Fault.parse(drawn or self.fault)).name in AT_CONNECT:
            await AT_CONNECT[fault.name](wire)
        while not wire.done and (head := await http1.read_head(wire.reader)):
            method, target, _ = head.start.split(" ", 2)
            now = asyncio.get_running_loop().time()
            number = len(self.requests) + 1
            asked = Received(
                number=number, connection=wire.log.id, method=method, target=target, headers=head.headers, at=now
            )
            self.requests.append(asked)
            wire.log.requests += 1
            exchange = Exchange(asked, wire, self.voice, self.interval, self.cookie)
            drawn, fresh = drawn if fresh else self._scheduled(), False
            wire.log.busy = True
            await self._answer(exchange, Fault.parse(drawn or self.fault))
            wire.log.busy = False

    async def _answer(self, exchange: Exchange, fault: Fault) -> None:
        asked = exchange.asked
        if fault.name not in BEFORE_BODY:
            await self._read_body(exchange)
            model = str(asked.get("model", ""))
            if self.obey_models and model.startswith(MODEL_PREFIX):
                fault = Fault.parse(model.removeprefix(MODEL_PREFIX))
        asked.fault = fault.name
        self._changed.set()
        await FAULTS[fault.name](exchange, fault)  # a KeyError is a test's typo, and fails it on the way out

    def _scheduled(self) -> str | Fault | None:
        """Draw what the schedule has for the next request: as its connection opens, else as it arrives."""
        if self._schedule is None:
            return None
        self._turn += 1
        return self._schedule(self._turn - 1)
