"""One provider's turn: encode, send (with repeats), and wait for the first real output."""

from collections.abc import Mapping
from dataclasses import replace

from msgspec import Struct

from proxy.clock import Clock
from proxy.dialects.base import Dialect
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Reply, WireRequest, quiet
from proxy.pipeline.call import Call, Turn
from proxy.pipeline.scrubbing import Secrets, scrubbed
from proxy.pipeline.settlement import Settlement
from proxy.pipeline.stage import Handler
from proxy.pipeline.stream import open_stream
from proxy.record import UNKNOWN, Attempt
from proxy.resilience.backoff import backoff
from proxy.resilience.outcome import Again
from proxy.resilience.retry_after import retry_after, used_up
from proxy.transport.repeat import RepeatError, send_with_repeats
from proxy.transport.session import MAX_ANSWER, MAX_ERROR, AttemptError, LateError, Transport, Upstream


def attempt(
    dialects: Mapping[str, Dialect], transport: Transport, clock: Clock, secrets: Secrets, *, keep_text: bool
) -> Handler[Reply | Failure]:
    """The innermost handler: a Reply, or the Failure of the turn's last attempt; never raises for a provider."""

    async def run(call: Call) -> Reply | Failure:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        dialect = dialects[turn.provider.dialect]
        wire = dialect.encode(call.request, turn.provider, turn.model)
        if isinstance(wire, Failure):
            return wire
        sender = _Sender(call, turn, dialect, wire, transport, clock, secrets)
        try:
            upstream = await send_with_repeats(sender.send, repeats=turn.provider.retries)
        except AttemptError as error:
            return error.failure
        settlement = sender.settlement
        assert settlement is not None  # noqa: S101  made by the send that returned
        try:
            return await _receive(settlement, dialect, wire, upstream, secrets, keep_text=keep_text)
        except BaseException:
            # Only cancellation comes this way: the client left, or the total deadline passed.
            upstream.close()
            _settle_interrupted(settlement)
            raise

    return run


class _Sender(Struct, eq=False):
    """The physical calls of one turn, as aiohttp-retry asks for them one after the other."""

    call: Call
    turn: Turn
    dialect: Dialect
    wire: WireRequest
    transport: Transport
    clock: Clock
    secrets: Secrets
    settlement: Settlement | None = None
    sent: int = 0
    wait: float = 0.0
    __repr__ = quiet

    async def send(self) -> Upstream:
        """Make one call and return its answer if the status is good; else raise, asking for a repeat if one may be."""
        settlement = self.settlement = self._begin()
        try:
            return await self._exchange(settlement)
        except AttemptError as error:
            failure = _failed(settlement, _failure_of(error, settlement), self.secrets)
            if self._may_repeat(failure):
                self._prepare_repeat(failure)
                raise RepeatError(AttemptError(failure), self.wait) from error
            raise AttemptError(failure) from error
        except BaseException:
            _settle_interrupted(settlement)
            raise

    async def _exchange(self, settlement: Settlement) -> Upstream:
        """Send and read the head; an error status is read whole and becomes an AttemptError."""
        upstream = await self.transport.send(
            self.wire,
            connect=self.call.policy.timeouts.connect,
            until=settlement.first_output_by(),
            tls=self.turn.provider.tls,
            traceparent=self.call.record.traceparent(settlement.attempt.span_id),
        )
        settlement.attempt.headers_at = self.clock.now()
        settlement.attempt.status = upstream.status
        if upstream.status < 300:
            self._heed(upstream)
            return upstream
        try:
            body = await upstream.read_all(MAX_ERROR)
        finally:
            upstream.close()
        failure = self.dialect.failure(upstream.head, body)
        told = retry_after(upstream.head.headers, self.clock.wall(), limit=self.call.policy.retry.retry_after_max)
        raise AttemptError(replace(failure, retry_after=told if told is not None else failure.retry_after))

    def _heed(self, upstream: Upstream) -> None:
        """Leave a provider alone that says, with a good answer, that it was the last one for a while."""
        clock = self.clock
        wait = used_up(upstream.head.headers, clock.wall(), limit=self.call.policy.retry.retry_after_max)
        if wait is not None:
            self.turn.state.cool_down.extend(clock.now(), wait, ErrorClass.RATE_LIMITED)

    def _begin(self) -> Settlement:
        call, turn = self.call, self.turn
        now = self.clock.now()
        call.end_step(now)
        call.attempts_left -= 1
        attempt = Attempt(
            number=len(call.record.attempts) + 1,
            resend=self.sent,
            provider=turn.provider.name,
            model=turn.model,
            method=self.wire.method,
            url=turn.seat.endpoint,
            template=self.wire.template,
            span_id=self.clock.bits(64),
            started=now,
            facts=UNKNOWN,
            waited=self.wait,
        )
        call.record.attempts.append(attempt)
        self.sent += 1
        turn.state.in_flight += 1
        permit, turn.permit = turn.permit, None
        return Settlement(call, turn, attempt, permit, self.clock)

    def _may_repeat(self, failure: Failure) -> bool:
        """Whether the same provider may be asked again at once (after back-off), by every limit that applies."""
        call, turn = self.call, self.turn
        verdict = call.table[failure.error_class]
        if verdict.same_provider is not Again.YES and not (
            verdict.same_provider is Again.IF_UNSENT and not failure.sent
        ):
            return False
        if self.sent > turn.provider.retries or call.racing:
            return False
        # Nobody waits for a provider that cannot even be reached while another one can answer.
        if failure.error_class is ErrorClass.CONNECT and turn.alternatives:
            return False
        if call.attempts_left <= turn.alternatives + call.reserved:
            return False
        now = self.clock.now()
        if not turn.state.breaker.available(now, turn.seat.breaker) or turn.state.cool_down.remaining(now) > 0:
            return False
        rate, limiter = turn.seat.rate, turn.seat.limiter
        if rate is not None and limiter.ready_in(now, rate) > 0:
            return False
        self.wait = backoff(call.policy.retry.backoff, self.sent - 1, self.clock.draw())
        needed = self.wait + turn.state.useful_time(turn.model, now)
        if now + needed >= call.deadline or not call.route_state.budget.spend(now, call.policy.retry.budget):
            return False
        return rate is None or limiter.take(now, rate)

    def _prepare_repeat(self, failure: Failure) -> None:
        now = self.clock.now()
        self.turn.permit = self.turn.state.breaker.acquire(now, self.turn.seat.breaker)
        self.call.note(
            "retry",
            now,
            {
                "sidestep.provider": self.turn.provider.name,
                "sidestep.error_class": failure.error_class.value,
                "sidestep.wait_seconds": round(self.wait, 3),
            },
        )


async def _receive(
    settlement: Settlement,
    dialect: Dialect,
    wire: WireRequest,
    upstream: Upstream,
    secrets: Secrets,
    *,
    keep_text: bool,
) -> Reply | Failure:
    """Read a good status to the first real output (a stream) or to its end (a plain answer)."""
    call = settlement.call
    try:
        reader = dialect.reader(call.request, wire, upstream.head, keep_text=keep_text)
        if reader is not None:
            return await open_stream(settlement, reader, upstream, secrets, keep_text=keep_text)
        body = await upstream.read_all(MAX_ANSWER)
    except AttemptError as error:
        upstream.close()
        return _failed(settlement, _failure_of(error, settlement), secrets)
    upstream.close()
    now = settlement.clock.now()
    answer = dialect.decode(call.request, wire, upstream.head, body)
    if isinstance(answer, Failure):
        return _failed(settlement, answer, secrets)
    settlement.spoke(now)
    settlement.attempt.facts = answer.facts
    settlement.succeed()
    return _reply(call, settlement.turn, answer, keep_text=keep_text)


def _reply(call: Call, turn: Turn, answer: Answer, *, keep_text: bool) -> Reply:
    call.record.provider = turn.provider.name
    if keep_text:
        call.record.captured_output = answer.body[:65536].decode("utf-8", "replace")
    return Reply(status=200, headers={"content-type": answer.content_type}, body=answer.body)


def _failure_of(error: AttemptError, settlement: Settlement) -> Failure:
    """What an attempt ended in; of one that was too late only its settlement knows how long it had."""
    return _too_slow(settlement) if isinstance(error, LateError) else error.failure


def _failed(settlement: Settlement, failure: Failure, secrets: Secrets) -> Failure:
    failure = scrubbed(failure, secrets)
    settlement.fail(failure)
    return failure


def _settle_interrupted(settlement: Settlement) -> None:
    """Cancelled from outside: by our own total deadline the provider was too slow, else the client left."""
    call = settlement.call
    if settlement.clock.now() >= call.deadline and call.own_deadline:
        settlement.fail(_too_slow(settlement))
    else:
        settlement.cancel()


def _too_slow(settlement: Settlement) -> Failure:
    waited = settlement.clock.now() - settlement.attempt.started
    return Failure(error_class=ErrorClass.TIMEOUT, message=f"no output from the provider within {waited:.3g} s")
