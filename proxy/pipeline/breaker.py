"""Ask the provider's breaker for a permit; without one another provider has the turn."""

from proxy.clock import Clock
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler, Turning
from proxy.registry import breaker_settings


def breaker(clock: Clock) -> Turning:
    """Take a permit. Whoever ends the attempt gives it back with the outcome; an unused one is released here."""

    async def run(call: Call, following: Handler[Reply | Failure]) -> Reply | Failure:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        now = clock.now()
        gate = turn.state.breaker
        settings = breaker_settings(turn.provider, call.policy.breaker)
        if call.step:
            call.step.attributes["sidestep.breaker.state"] = gate.state(now).value
        turn.permit = gate.force_acquire(now) if turn.last_chance else gate.acquire(now, settings)
        if turn.permit is None:
            return Failure(error_class=ErrorClass.SHED, message="the provider's breaker is open", sent=False)
        if call.step and turn.permit.probe:
            call.step.attributes["sidestep.breaker.probe"] = True
        try:
            return await following(call)
        finally:
            if turn.permit is not None:
                gate.release(turn.permit)
                turn.permit = None

    return Turning("breaker", run)
