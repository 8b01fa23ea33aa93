"""Ask the provider's breaker for a permit; without one another provider has the turn."""

from collections.abc import Mapping

from proxy.clock import Clock
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler, Turning
from proxy.record import Attribute
from proxy.resilience.breaker import State

_IN_STATE: Mapping[State, Mapping[str, Attribute]] = {state: {"sidestep.breaker.state": state.value} for state in State}
_PROBING: Mapping[str, Attribute] = {
    "sidestep.breaker.state": State.HALF_OPEN.value,
    "sidestep.breaker.probe": True,
}


def breaker(clock: Clock) -> Turning:
    """Take a permit. Whoever ends the attempt gives it back with the outcome; an unused one is released here."""

    async def run(call: Call, following: Handler[Reply | Failure]) -> Reply | Failure:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        now = clock.now()
        gate = turn.state.breaker
        state = gate.state(now)
        turn.permit = gate.force_acquire(now) if turn.last_chance else gate.acquire(now, turn.seat.breaker)
        if call.step:
            call.step.attributes = _PROBING if turn.permit is not None and turn.permit.probe else _IN_STATE[state]
        if turn.permit is None:
            return Failure(error_class=ErrorClass.SHED, message="the provider's breaker is open", sent=False)
        try:
            return await following(call)
        finally:
            if turn.permit is not None:
                gate.release(turn.permit)
                turn.permit = None

    return Turning("breaker", run)
