"""A stage for the pipeline: an engine in virtual time, with a scripted network and a dialect of single words.

    play = Play(p1=[status(503, "overloaded")], p2=[stream("role", 0.2, "out", "end")])
    reply = await play.ask(stream=True)

A script is one item per physical call. The dialect's words: `role` and `: note` are no output, `out` is, `end` ends the
answer, `bad` fails it. Numbers in a stream are seconds of silence.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.config.snapshot import Match, Policy, Provider, Route, Server, Snapshot, Telemetry, Timeouts
from proxy.engine import Engine
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, AnswerFacts, Expect, Fed, Head, Operation, Request, WireRequest
from proxy.record import Record
from proxy.transport.session import AttemptError, LateError

FAR = 10_000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, and then jumps to the next timer."""

    def __init__(self):
        super().__init__()
        self.virtual = 1000.0

    def time(self):
        return self.virtual

    def _run_once(self):
        if not self._ready:
            due = [handle.when() for handle in self._scheduled if not handle.cancelled()]
            assert due or self._stopping, "everybody waits for ever"
            self.virtual = max(self.virtual, min(due, default=self.virtual))
        super()._run_once()


class LoopClock:
    """The loop's own time; every draw is `drawn`."""

    drawn = 0.0

    def __init__(self):
        self._bits = itertools.count(1)

    def now(self):
        return asyncio.get_running_loop().time()

    def wall(self):
        return 1_800_000_000.0 + self.now()

    def draw(self):
        return self.drawn

    def bits(self, _count):
        return next(self._bits)

    async def sleep(self, seconds):
        await asyncio.sleep(max(0.0, seconds))


# The network


@dataclass
class Script:
    """One physical call: what is sent back, and what became of it."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    pieces: tuple = ()
    """Bytes, seconds of silence, or an exception that ends it."""
    delay: float = 0.0
    """Seconds before the head."""
    error: Exception | None = None
    """Raised instead of a head."""
    closed: bool = False
    read_to_end: bool = False


class ScriptedUpstream:
    """Plays a script as `transport.session.Upstream` would."""

    method = "POST"
    doomed = False

    def __init__(self, script, until):
        self._script = script
        self._until = until
        self._pieces = iter(script.pieces)
        self._closing = asyncio.Event()
        self.status = script.status
        self.head = Head(script.status, script.headers)

    async def read_some(self):
        for piece in self._pieces:
            if self._closing.is_set():
                break
            if isinstance(piece, float):
                await self._silence(piece)
            elif isinstance(piece, Exception):
                raise piece
            else:
                return piece
        if self._closing.is_set():
            raise AttemptError(Failure(error_class=ErrorClass.BROKEN, message="closed"))
        self._script.read_to_end = True
        return b""

    async def flow(self, take):
        for piece in self._pieces:
            if self._closing.is_set() or not isinstance(piece, bytes):
                self._pieces = itertools.chain([piece], self._pieces)
                return
            if not take(piece):
                return

    async def read_all(self, _limit):
        pieces = []
        while piece := await self.read_some():
            pieces.append(piece)
        return b"".join(pieces)

    def end_by(self, due):
        self._until = due

    def close(self):
        self._script.closed = True
        self._closing.set()

    async def _silence(self, seconds):
        try:
            async with asyncio.timeout(seconds):
                await in_time(self._closing.wait(), self._until)
        except TimeoutError:
            return


async def in_time(waiting, until):
    """Wait as the transport does: whoever is too late is told."""
    try:
        async with asyncio.timeout_at(min(until, FAR * FAR)) as scope:
            await waiting
    except TimeoutError:
        if scope.expired():
            raise LateError from None
        raise


class ScriptedTransport:
    """Hands out each provider's scripts in order; a call that no script foresees fails the test."""

    def __init__(self, scripts):
        self._scripts = {name: iter(items) for name, items in scripts.items()}
        self.calls = []
        self.times = []
        self.played = []

    async def send(self, wire, *, connect, until, tls, traceparent=""):
        name = wire.url
        self.calls.append(name)
        self.times.append(asyncio.get_running_loop().time())
        script = next(self._scripts[name], None)
        assert script is not None, f"nobody foresaw call {len(self.calls)}, to {name}"
        self.played.append(script)
        if script.delay:
            await in_time(asyncio.sleep(script.delay), until)
        if script.error is not None:
            raise script.error
        return ScriptedUpstream(script, until)

    async def close(self):
        pass


def good(body="fine", **fields):
    """A plain answer."""
    return Script(pieces=(body.encode(),), **fields)


def says(error_class, status=200, *, sent=True, retry_after=None, **headers):
    """An answer with an error inside; a `status` of 300 and more is an error status."""
    body = f"{error_class} {int(sent)} {'' if retry_after is None else retry_after}".encode()
    return Script(
        status=status, pieces=(body,), headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def fails(error_class, *, sent=True, retry_after=None, **fields):
    """A failure of the network itself, after `delay` seconds."""
    failure = Failure(
        error_class=ErrorClass(error_class), message=f"the network: {error_class}", sent=sent, retry_after=retry_after
    )
    return Script(error=AttemptError(failure), **fields)


def hangs():
    """No head, ever."""
    return Script(delay=FAR)


def stream(*pieces, **fields):
    """A streamed answer; words are events, numbers are seconds of silence."""
    written = (
        piece if isinstance(piece, Exception) else float(piece) if isinstance(piece, int | float) else event(piece)
        for piece in pieces
    )
    return Script(pieces=tuple(written), headers={"content-type": "text/event-stream"}, **fields)


def event(word):
    """One event on the wire."""
    return f"{word}\n\n".encode()


# The dialect


class WordDialect:
    """Speaks single words; a provider's URL is its name."""

    def encode(self, request, provider, model):
        if model == "inexpressible":
            return Failure(error_class=ErrorClass.UNSUPPORTED, message="cannot be said", sent=False)
        expect = Expect.SSE if request.stream else Expect.JSON
        return WireRequest(method="POST", url=provider.base_url, headers={}, body=b"", model=model, expect=expect)

    def failure(self, head, body):
        error_class, sent, wait = body.decode().split(" ")
        return Failure(
            error_class=ErrorClass(error_class),
            message=f"it said {error_class}",
            status=head.status,
            retry_after=float(wait) if wait else None,
            sent=sent == "1",
            body=b'{"error": "verbatim"}' if error_class == "invalid_request" else None,
        )

    def decode(self, request, wire, head, body):
        if body.partition(b" ")[0].decode() in set(ErrorClass):
            return self.failure(head, body)
        reason = "length" if body == b"cut" else "stop"
        return Answer(body=body, facts=AnswerFacts(finish_reasons=(reason,)))

    def reader(self, request, wire, head, *, keep_text=False):
        return WordReader() if head.media_type == "text/event-stream" else None


class WordReader:
    """Reads whole words; the scripts never split them."""

    def __init__(self):
        self.facts = AnswerFacts()
        self.text = ""

    def feed(self, data):
        words = data.split(b"\n\n")[:-1]
        forward = b""
        for word in words:
            if word == b"bad":
                return Fed(forward=forward, output=b"out" in forward, failure=_broken("a bad word"))
            forward += word + b"\n\n"
            if word == b"end":
                self.facts.finish_reasons = ("stop",)
                return Fed(forward=forward, output=True, ended=True)
        return Fed(forward=forward, output=b"out" in forward)

    def close(self):
        return Fed(failure=_broken("cut"))


def _broken(message):
    return Failure(error_class=ErrorClass.BROKEN, message=message)


# The play


def provider(name, **fields):
    defaults = {"dialect": "words", "base_url": name, "auth": "optional", "supports": frozenset({"chat", "images"})}
    return Provider(name=name, **(defaults | fields))


class Play:
    """An engine over providers with scripts; keywords `policy` and `providers` change the settings."""

    def __init__(self, policy=None, providers=None, limits=None, *, spare=False, **scripts):
        fields = {"timeouts": Timeouts(connect=1.0, first_output=10.0, idle=20.0, total=100.0)} | (policy or {})
        self.policy = Policy(name="default", **fields)
        changes = providers or {}
        self.providers = [
            provider(name, **({"priority": place} | changes.get(name, {}))) for place, name in enumerate(scripts, 1)
        ]
        self.everyday = tuple(scripts)[: -1 if spare else None]
        """The providers of the route `chat`; without the last one when that is kept for the route `spare`."""
        self.clock = LoopClock()
        self.network = ScriptedTransport(scripts)
        self.engine = Engine(self.clock, transport=self.network, dialects={"words": WordDialect()})
        self.engine.adopt(self._snapshot(limits))
        self.records = []

    def _snapshot(self, limits):
        names = tuple(each.name for each in self.providers)
        routes = [
            Route(name="chat", match=Match(path="/v1/chat/completions"), providers=self.everyday, policy="default"),
            Route(name="spare", match=Match(path="/v1/chat/completions"), providers=names[-1:], policy="default"),
            Route(name="images", match=Match(path="/v1/images/generations"), providers=names, policy="default"),
        ]
        return Snapshot(
            generation="g",
            server=Server(**({"limits": limits} if limits else {})),
            telemetry=Telemetry(),
            providers=MappingProxyType({each.name: each for each in self.providers}),
            routes=tuple(routes),
            policies=MappingProxyType({"default": self.policy}),
        )

    @property
    def record(self):
        """The last request's."""
        return self.records[-1]

    def state(self, name):
        """What is known of a provider, for chat."""
        return self.engine.registry.provider(next(each for each in self.providers if each.name == name), "chat")

    async def ask(self, model="any", **fields):
        """Send one request through the pipeline."""
        operation = fields.pop("operation", Operation.CHAT)
        path = "/v1/images/generations" if operation is Operation.IMAGES else "/v1/chat/completions"
        now = self.clock.now()
        defaults = {"id": "req-1", "operation": operation, "path": path, "body": b"{}", "document": {}, "received": now}
        request = Request(**(defaults | {"model": model} | fields))
        record = Record(request, trace_id=f"{1:032x}", started=now, wall_offset=0.0)
        self.records.append(record)
        return await self.engine.handle(request, record)

    def at_rest(self):
        """Whether nothing is held any more: no call in flight, no probe's slot."""
        return all(state.in_flight == 0 and state.breaker._probes == 0 for state in self.engine.registry.states())


async def text(reply):
    """The whole of a reply's stream."""
    pieces = []

    def write(piece):
        pieces.append(piece)
        return len(pieces) % 3 == 0  # a client that has no room now and then

    while piece := await reply.stream.read():
        write(piece)
        await reply.stream.flow(write)
    reply.stream.close()
    return b"".join(pieces)
