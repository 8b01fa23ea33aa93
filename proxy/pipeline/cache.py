"""Give a good answer again to the very same question, and ask it once when it comes several times at once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from proxy.clock import Clock
from proxy.config.snapshot import Cache
from proxy.messages import Body, Reply, Write
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.pipeline.stream import KEEPALIVE_COMMENT
from proxy.resilience.store import Kept, key_of, worth_keeping

PATIENCE = 2
"""Identical requests that one waits for in vain before it asks for itself: a provider that is down is waited for by all
of them at the same time, not by one after the other."""


class _Flight:
    """A question on its way to a provider, for others with the same question to wait for."""

    __slots__ = ("given_up", "kept", "landed")

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.kept: Kept | None = None
        """The answer, when it came to one that can be shared."""
        self.given_up = False
        """Whether its own client left or ran out of time, which says nothing about the question."""


def cache(settings: Cache, clock: Clock) -> Answering:
    """Answer from the route's store, else let one of the identical plain requests ask, and keep what it gets.

    A follower waits as long as its own deadline lets it. When the one that asks comes to nothing, the next one takes
    over. Streams are kept, and replayed whole, but each asks for itself: it cannot wait for another one's end.
    """
    flights: dict[bytes, _Flight] = {}

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        key = call.cache_key = key_of(call.request, call.route.name)
        if key is None:
            return await following(call)
        now = clock.now()
        kept = call.route_state.answers.get(key, now, settings.ttl)
        if kept is not None:
            return again(call, kept, "hit", now)
        if call.request.stream:
            call.record.cache = "miss"
            return _kept_at_its_end(call, await following(call), settings, clock)
        kept = await _wait(call, flights, key, clock)
        if kept is not None:
            return again(call, kept, "shared", clock.now())
        call.record.cache = "miss"
        flight = _Flight()
        flights.setdefault(key, flight)  # one that lost its patience asks beside the one under way
        try:
            reply = await following(call)
            flight.kept = _keep(call, reply, settings, clock, reply.body)
        except asyncio.CancelledError:
            flight.given_up = True
            raise
        finally:
            if flights.get(key) is flight:
                del flights[key]
            flight.landed.set()
        return reply

    return Answering("cache", run)


def again(call: Call, kept: Kept, result: str, now: float) -> Reply:
    """Answer with what is kept; `result` says how that came about, as the record and the metric have it."""
    record = call.record
    record.cache = result
    record.provider = kept.provider
    if result != "shared":
        record.age = now - kept.at
    return Reply(headers=dict(kept.headers), body=kept.body)


async def _wait(call: Call, flights: dict[bytes, _Flight], key: bytes, clock: Clock) -> Kept | None:
    """Wait for identical requests under way; None when this one has to ask for itself."""
    begun, in_vain = clock.now(), 0
    try:
        while in_vain < PATIENCE and (flight := flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.kept is not None:
                return flight.kept
            in_vain += not flight.given_up
    finally:
        call.record.shared_wait = clock.now() - begun
    return None


def _keep(call: Call, reply: Reply, settings: Cache, clock: Clock, body: bytes) -> Kept | None:
    """Keep a complete answer of a provider's to the question as it was asked; None for any other."""
    record = call.record
    served = record.served()
    if served is None or served.failure is not None or record.degraded or call.cache_key is None:
        return None
    if not worth_keeping(call.request.operation, served.facts.finish_reasons):
        return None
    kept = Kept(body=body, headers=dict(reply.headers), provider=record.provider, at=clock.now())
    call.route_state.answers.put(call.cache_key, kept, settings, stale_for=call.policy.stale_for)
    return kept


def _kept_at_its_end(call: Call, reply: Reply, settings: Cache, clock: Clock) -> Reply:
    if reply.stream is not None:
        reply.stream = _Listening(reply.stream, partial(_keep, call, reply, settings, clock), settings.max_bytes)
    return reply


class _Listening:
    """A stream of which everything that goes to the client is kept, until that is too much or it does not end well."""

    __slots__ = ("_keep", "_limit", "_pieces", "_size", "_stream")

    def __init__(self, stream: Body, keep: Callable[[bytes], object], limit: int) -> None:
        self._stream = stream
        self._keep = keep
        self._limit = limit
        self._size = 0
        self._pieces: list[bytes] | None = []

    @property
    def ended(self) -> bool:
        return self._stream.ended

    @property
    def aborted(self) -> bool:
        return self._stream.aborted

    async def read(self) -> bytes:
        piece = await self._stream.read()
        if piece and self._pieces is not None and piece is not KEEPALIVE_COMMENT:
            self._listen(self._pieces, piece)
        if self.ended and self._pieces is not None:
            self._keep(b"".join(self._pieces))  # which looks at how it ended
            self._pieces = None
        return piece

    def flow(self, write: Write) -> Awaitable[bool]:
        def heard(piece: bytes) -> bool:
            if self._pieces is not None:
                self._listen(self._pieces, piece)
            return write(piece)

        return self._stream.flow(heard)

    def interrupt(self) -> None:
        self._stream.interrupt()

    def close(self) -> None:
        self._pieces = None
        self._stream.close()

    def _listen(self, pieces: list[bytes], piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces = None
        else:
            pieces.append(piece)
