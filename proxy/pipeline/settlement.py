"""How one upstream call ends: settled exactly once, with everything that follows from its outcome."""

from msgspec import Struct

from proxy.clock import Clock
from proxy.errors import ErrorClass, Failure
from proxy.messages import Operation
from proxy.pipeline.call import Call, Turn
from proxy.record import Attempt
from proxy.registry import ProviderState
from proxy.resilience.breaker import Permit
from proxy.resilience.outcome import Effect

BENCH = 300.0
"""Seconds without traffic after `quota` or `auth`, when the provider names no time of its own."""
PATIENCE = (1.0, 60.0)
"""Seconds of the first and the longest cool-down after 429s without a usable Retry-After; doubling in between."""

_SAYS_NOTHING = frozenset(
    {
        ErrorClass.CANCELLED,
        ErrorClass.SHED,
        ErrorClass.INVALID_REQUEST,
        ErrorClass.CONTEXT_LENGTH,
        ErrorClass.CONTENT_POLICY,
        ErrorClass.UNSUPPORTED,
    }
)
"""Classes that tell of the request, not of the provider: its success rate is not touched."""


class Settlement(Struct):
    """Owns one attempt's permit and record until the outcome is known."""

    call: Call
    turn: Turn
    attempt: Attempt
    permit: Permit | None
    clock: Clock
    settled: bool = False

    def first_output_by(self) -> float:
        """Monotonic time by which this attempt must have shown real output."""
        own = self.turn.provider.timeout
        if own is None or self.call.request.operation is Operation.IMAGES:
            own = self.call.policy.timeouts.first_output
        return self.attempt.started + own

    def spoke(self, now: float) -> None:
        """The first real output was seen."""
        self.attempt.first_output_at = now
        self.call.record.first_output_at = now

    def succeed(self) -> None:
        """The answer is complete."""
        now = self._close()
        if now is None:
            return
        state = self.turn.state
        state.usage_count += 1
        state.refusals = 0
        first = self.attempt.first_output_at
        started = self.attempt.started
        state.record(
            self.turn.model,
            now,
            ok=True,
            duration=now - started,
            first_output=None if first is None else first - started,
        )
        if self.permit is not None and state.breaker.success(self.permit, now, self.turn.seat.breaker):
            self._note("breaker.change", now, "sidestep.breaker.state", "closed")
        if state.health.succeed(self.turn.provider.health, now):
            self._note("health.change", now, "sidestep.health", state.health.status)

    def fail(self, failure: Failure) -> None:
        """The attempt failed: breaker, window and cool-downs follow from its class."""
        now = self._close()
        if now is None:
            return
        self.attempt.failure = failure
        state = self.turn.state
        state.last_error = f"{failure.error_class}: {failure.message}"
        verdict = self.call.table[failure.error_class]
        ours = self._our_own_stall(failure, now)
        if failure.error_class not in _SAYS_NOTHING and not ours:
            state.record(self.turn.model, now, ok=False, duration=now - self.attempt.started, first_output=None)
        if self.permit is not None and verdict.breaker and not ours:
            if state.breaker.failure(self.permit, now, self.turn.seat.breaker, self.clock.draw()):
                self._note("breaker.change", now, "sidestep.breaker.state", "open")
        elif self.permit is not None:
            state.breaker.release(self.permit)
        if verdict.breaker and not ours and state.health.fail(self.turn.provider.health, state.last_error, check=False):
            self._note("health.change", now, "sidestep.health", state.health.status)
        _take_effect(verdict.effect, failure, state, self.turn.model, now)

    def cancel(self) -> None:
        """Nobody waits for the answer any more; that says nothing about the provider."""
        now = self._close()
        if now is None:
            return
        message = "another provider was faster" if self.call.outrun else "the client left"
        self.attempt.failure = Failure(error_class=ErrorClass.CANCELLED, message=message)
        if self.call.outrun and self.attempt.first_output_at is None:
            self.turn.state.window.outlasted(now, now - self.attempt.started)
        if self.permit is not None:
            self.turn.state.breaker.release(self.permit)

    def _our_own_stall(self, failure: Failure, now: float) -> bool:
        """Whether time ran out because this process stood still: that says nothing about the provider."""
        timeouts = self.call.policy.timeouts
        waited = now - self.attempt.started
        if failure.error_class is ErrorClass.TIMEOUT:
            if self.attempt.first_output_at is not None:
                waited = min(waited, timeouts.idle)
        elif failure.error_class is not ErrorClass.CONNECT or waited < timeouts.connect:
            return False
        if not self.call.load.at_fault(now, waited):
            return False
        self.attempt.note("own_stall", now, {"sidestep.lag_seconds": round(self.call.load.lag(now), 3)})
        return True

    def _close(self) -> float | None:
        if self.settled:
            return None
        self.settled = True
        now = self.clock.now()
        self.attempt.ended = now
        self.turn.state.in_flight -= 1
        return now

    def _note(self, name: str, now: float, what: str, state: str) -> None:
        self.attempt.note(name, now, {"sidestep.provider": self.turn.provider.name, what: state})


def _take_effect(effect: Effect, failure: Failure, state: ProviderState, model: str, now: float) -> None:
    told = failure.retry_after
    match effect:
        case Effect.NONE:
            pass
        case Effect.COOL_DOWN:
            if told is not None:
                state.cool_down.extend(now, told, failure.error_class)
            elif failure.error_class is ErrorClass.RATE_LIMITED:
                first, longest = PATIENCE
                state.cool_down.extend(now, min(longest, first * 2**state.refusals), failure.error_class)
            state.refusals = min(state.refusals + 1, 10)
        case Effect.BENCH:
            state.cool_down.extend(now, BENCH if told is None else told, failure.error_class)
        case Effect.BENCH_KEY:
            state.cool_down.extend(now, BENCH, failure.error_class)
        case Effect.REMEMBER:
            state.remember_unsupported(model, now)
