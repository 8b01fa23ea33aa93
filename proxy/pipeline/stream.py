"""A streamed answer: held back until its first real output, then passed through and watched to its end."""

import asyncio
from dataclasses import replace
from functools import partial
from math import inf

from proxy.dialects.base import StreamReader
from proxy.envelope import error_frame
from proxy.errors import ErrorClass, Failure, SidestepError
from proxy.messages import Fed, Reply, Write
from proxy.pipeline.call import Call
from proxy.pipeline.scrubbing import Secrets, scrubbed
from proxy.pipeline.settlement import Settlement
from proxy.pipeline.watch import Watch
from proxy.transport.session import AttemptError, Upstream

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
KEEPALIVE_COMMENT = b": keep-alive\n\n"
"""A bare comment: `id:` or `retry:` lines would make OpenAI's Python client fail."""


async def open_stream(
    settlement: Settlement, reader: StreamReader, upstream: Upstream, secrets: Secrets, *, keep_text: bool
) -> Reply | Failure:
    """Read until the answer is committed. A failure before that is a value: another provider may still answer unseen.

    Raises AttemptError for what the network does. The caller bounds the time.
    """
    call, turn = settlement.call, settlement.turn
    held = bytearray()
    while True:
        data = await upstream.read_some()
        fed = reader.feed(data) if data else reader.close()
        if fed.failure is not None:
            # Even when output stands before it: nothing has been sent yet, so nobody needs to see half an answer.
            raise AttemptError(fed.failure)
        held += fed.forward
        if upstream.doomed:
            continue  # nobody has seen anything yet: another provider may still answer, whatever is left to read here
        if fed.output or _nothing_to_wait_for(fed, held, call, turn.alternatives):
            break
        if fed.ended or not data:
            raise AttemptError(_empty())
    upstream.end_by(inf)  # the stream's own clock takes over
    if not keep_text:
        call.request.forget_bulk()
    now = settlement.clock.now()
    call.record.provider = turn.provider.name
    settlement.attempt.facts = reader.facts
    settlement.attempt.note("hold_back.end", now, {"sidestep.held_bytes": len(held)})
    first = Fed(bytes(held), output=fed.output, ended=fed.ended)
    return Reply(status=200, headers=dict(HEADERS), stream=StreamBody(settlement, reader, upstream, secrets, first))


def _nothing_to_wait_for(fed: Fed, held: bytearray, call: Call, alternatives: int) -> bool:
    """Holding back is for whatever else could answer; with nothing, or too much held, the preamble goes out."""
    if fed.ended or not held:
        return False
    others = call.racing or call.policy.degrade or (alternatives > 0 and call.attempts_left > call.reserved)
    return not others or len(held) > call.policy.streaming.hold_back


class StreamBody:
    """The committed stream. Its end, its break and its drop each settle the attempt exactly once."""

    __slots__ = (
        "_first",
        "_full",
        "_keepalive",
        "_pending",
        "_reader",
        "_said_at",
        "_secrets",
        "_settlement",
        "_upstream",
        "_watch",
        "aborted",
        "ended",
    )

    def __init__(
        self, settlement: Settlement, reader: StreamReader, upstream: Upstream, secrets: Secrets, first: Fed
    ) -> None:
        self._settlement = settlement
        self._reader = reader
        self._upstream = upstream
        self._secrets = secrets
        self._first: Fed | None = first
        """What `read` looks at before anything else."""
        self._full = False
        """Whether the client had no room for more when it was last written to."""
        self.ended = False
        self._keepalive = settlement.call.policy.streaming.keepalive
        self._pending: asyncio.Task[bytes] | None = None
        self._said_at = settlement.clock.now()
        """When the client was last told anything."""
        self._watch = Watch(settlement, upstream)
        self.aborted = False

    async def read(self) -> bytes:
        """Return the next bytes for the client, `b""` at the end; a break becomes an error frame before the end."""
        while not self.ended:
            if self._first is not None:
                fed, self._first = self._first, None
            else:
                self._watch.resume()
                try:
                    data = await (self._next() if self._keepalive else self._upstream.read_some())
                except AttemptError as error:
                    return self._break(self._watch.verdict or error.failure)
                if data is None:
                    self._watch.pause(output=False)
                    self._said_at = self._settlement.clock.now()
                    return KEEPALIVE_COMMENT
                fed = self._reader.feed(data) if data else self._reader.close()
            self._watch.pause(output=fed.output)
            if fed.failure is not None:
                return fed.forward + self._break(fed.failure)
            if fed.ended:
                self._end()
            if fed.forward:
                if self._keepalive:
                    self._said_at = self._settlement.clock.now()
                return fed.forward
        return b""

    async def flow(self, write: Write) -> bool:
        """Write whatever is nothing but words as it comes; most of a stream goes this way, and wakes no task.

        Not when we keep the client company with comments, for which somebody has to look at the clock.
        """
        if self._keepalive or self.ended or self._first is not None:
            return False
        self._full = False
        self._watch.resume()
        await self._upstream.flow(partial(self._take, write))
        self._watch.pause(output=False)
        return self._full

    def _take(self, write: Write, data: bytes) -> bool:
        """Write one piece; False: the client has no room for more, or it is more than words, and `read` tells of it."""
        fed = self._reader.feed(data)
        if fed.failure is not None or fed.ended:
            self._first = fed
            return False
        if fed.output:
            self._watch.progress()
        if fed.forward:
            self._full = write(fed.forward)
        return not self._full

    def interrupt(self) -> None:
        """Break it off on our own account; the next read tells the client."""
        if self.ended:
            return
        self._watch.verdict = Failure(error_class=ErrorClass.CANCELLED, message="sidestep is shutting down")
        self._upstream.close()

    def close(self) -> None:
        """Drop the stream: after its end nothing is left to do; before it, the client left."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending.add_done_callback(_look_away)
        self.ended = True
        self._watch.stop()
        self._upstream.close()
        self._settlement.cancel()

    async def _next(self) -> bytes | None:
        """Return the upstream's next bytes, or None when the client has heard nothing for so long.

        An event that drips in byte by byte is nothing that the client could hear.
        """
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._upstream.read_some())
        silence = self._settlement.clock.now() - self._said_at
        done, _ = await asyncio.wait({self._pending}, timeout=max(0.0, self._keepalive - silence))
        if not done:
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def _end(self) -> None:
        self.ended = True
        self._watch.stop()
        self._upstream.close()
        self._keep_text()
        self._settlement.succeed()

    def _break(self, failure: Failure) -> bytes:
        """The answer was already under way: say so in the stream, and never pretend that it ended well."""
        call = self._settlement.call
        failure = scrubbed(failure, self._secrets)
        self.ended = True
        self._watch.stop()
        self._upstream.close()
        self._keep_text()
        if self._watch.blames_provider:
            self._settlement.fail(failure)
        else:
            self._settlement.cancel()
            self._settlement.attempt.failure = replace(failure, error_class=ErrorClass.CANCELLED)
        call.record.broken = failure
        self.aborted = call.policy.streaming.on_break == "abort"
        return error_frame(_break_error(failure), call.record)

    def _keep_text(self) -> None:
        if self._reader.text:
            self._settlement.call.record.captured_output = self._reader.text


def _look_away(read: asyncio.Task[bytes]) -> None:
    """Fetch the exception of a read that nobody waits for any more, or asyncio would report it as lost."""
    if not read.cancelled():
        read.exception()


def _empty() -> Failure:
    return Failure(error_class=ErrorClass.SOFT_FAILURE, message="the stream ended without any output")


def _break_error(failure: Failure) -> SidestepError:
    code = {ErrorClass.TIMEOUT: "stream_stalled"}.get(failure.error_class, "stream_broken")
    return SidestepError(
        f"the answer is incomplete: {failure.message}", status=502, code=failure.code or code, should_retry=False
    )
