"""Keep within what a provider allows us: its configured rate, counted before the call is made."""

from collections.abc import Awaitable

from proxy.clock import Clock
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler, Turning, ended

_REFUSED = Failure(error_class=ErrorClass.SHED, message="our own rate limit for this provider", sent=False)


def rate_limit(clock: Clock) -> Turning:
    """Take one from the provider's rate for this capability, or let another provider have the turn.

    Strategy leaves out candidates whose rate is used up: a refusal here means that another request took the last one.
    """

    def run(call: Call, following: Handler[Reply | Failure]) -> Awaitable[Reply | Failure]:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        rate = turn.seat.rate
        if rate is not None and not turn.seat.limiter.take(clock.now(), rate):
            return ended(_REFUSED)
        return following(call)

    return Turning("rate_limit", run)
