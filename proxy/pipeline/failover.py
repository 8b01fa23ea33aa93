"""One turn per provider until one answers, and one honest error when none does."""

from proxy.clock import Clock
from proxy.errors import (
    AllProvidersFailed,
    ClientError,
    ErrorClass,
    Failure,
    NoProviderAvailable,
    ProviderVerdict,
    RateLimited,
    SidestepError,
)
from proxy.messages import Operation, Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler
from proxy.pipeline.strategy import NobodyLeft
from proxy.resilience.outcome import Again, may_ask_other
from proxy.routing.candidates import Exclusion

_PASSED_ON = frozenset({ErrorClass.INVALID_REQUEST, ErrorClass.CONTEXT_LENGTH, ErrorClass.CONTENT_POLICY})
_WAITING = frozenset({Exclusion.COOLING_DOWN, Exclusion.RATE_LIMITED})
_LASTING = frozenset({Exclusion.DISABLED, Exclusion.UNCONFIGURED})


def failover(turn: Handler[Reply | Failure], clock: Clock) -> Handler[Reply]:
    """Give turns until a Reply, a verdict on the request, the attempt cap, or nobody is left."""

    async def run(call: Call) -> Reply:
        while True:
            try:
                result = await turn(call)
            except NobodyLeft:
                if await _waited_for_the_last(call, clock):
                    continue
                raise ending(call) from None
            if isinstance(result, Reply):
                return result
            asked = call.turn
            assert asked is not None  # noqa: S101  a turn that returned had one
            call.tried[asked.provider.name] = result
            call.windows[asked.provider.name] = asked.provider.context_window
            # A hedge leaves a second failure behind, and either may be the end of it.
            if not all(_may_go_on(call, failure) for failure in call.tried.values()):
                raise ending(call)
            if result.error_class is not ErrorClass.SHED:
                call.route_state.budget.spend(clock.now(), call.policy.retry.budget)
                call.note(
                    "failover",
                    clock.now(),
                    {
                        "sidestep.provider": asked.provider.name,
                        "sidestep.error_class": result.error_class.value,
                    },
                )

    return run


def _may_go_on(call: Call, failure: Failure) -> bool:
    """Whether another provider may be asked after this failure.

    A switch of provider is charged to the retry budget but never refused by it: it is bounded by the attempt cap and
    the breakers, and a dead primary must not turn into client errors because it died under load.
    """
    if failure.error_class is ErrorClass.SHED:
        return True
    if call.request.pinned or call.attempts_left <= call.reserved:
        return False
    images = call.request.operation is Operation.IMAGES
    return may_ask_other(failure, call.table[failure.error_class], images=images, replay=call.policy.retry.replay)


async def _waited_for_the_last(call: Call, clock: Clock) -> bool:
    """When everybody else is out and one provider only asked for a little patience, wait for it and try it once more.

    A little: no longer than the longest back-off, and only inside the deadline; a longer wait is the client's to make.
    """
    if call.attempts_left <= call.reserved:
        return False
    waits = []
    for name, failure in call.tried.items():
        verdict = call.table[failure.error_class]
        if verdict.same_provider is Again.LAST and failure.retry_after is not None:
            waits.append((failure.retry_after, name))
    if not waits:
        return False
    wait, name = min(waits)
    now = clock.now()
    if wait > call.policy.retry.backoff.max or now + wait >= call.deadline:
        return False
    if not call.route_state.budget.spend(now, call.policy.retry.budget):
        return False
    call.note("retry", now, {"sidestep.provider": name, "sidestep.wait_seconds": round(wait, 3)})
    await clock.sleep(wait)
    del call.tried[name]
    return True


def ending(call: Call) -> SidestepError:
    """The one honest error for a call that nobody answered."""
    failures = list(call.tried.values())
    asked = [failure for failure in failures if failure.error_class is not ErrorClass.SHED]
    verdicts = [failure for failure in asked if failure.error_class in _PASSED_ON]
    if verdicts:
        return ProviderVerdict(verdicts[-1])
    recovery = _soonest_recovery(call)
    if not asked:
        return _nobody_asked(call, recovery)
    classes = {failure.error_class for failure in asked}
    names = ", ".join(call.tried)
    if classes == {ErrorClass.RATE_LIMITED}:
        return RateLimited(f"every provider is rate limited ({names})", retry_after=recovery)
    if classes == {ErrorClass.UNSUPPORTED}:
        return _no_such_model(call)
    last = asked[-1]
    return AllProvidersFailed(
        f"no provider could answer (asked: {names}); the last said: {last.message}",
        retry_after=recovery,
        should_retry=False,
    )


def _nobody_asked(call: Call, recovery: float | None) -> SidestepError:
    usable = [one for one in call.excluded if one.reason not in _LASTING]
    if usable and all(one.reason is Exclusion.UNSUPPORTED for one in usable):
        return _no_such_model(call)
    waiting = [one for one in usable if one.reason is not Exclusion.UNSUPPORTED]
    if waiting and all(one.reason in _WAITING for one in waiting):
        return RateLimited("every provider of this route is rate limited", retry_after=recovery)
    why = ", ".join(f"{one.name} is {one.reason.value.replace('_', ' ')}" for one in call.excluded)
    return NoProviderAvailable(f"no provider can be asked right now ({why})", retry_after=recovery)


def _no_such_model(call: Call) -> ClientError:
    return ClientError(
        f"no provider of route '{call.route.name}' serves the model '{call.model[:100]}' for this kind of request",
        status=404,
        code="model_not_found",
        param="model",
        should_retry=False,
    )


def _soonest_recovery(call: Call) -> float | None:
    """Seconds until the first provider may be asked again, over those left out and those that just failed."""
    times = [one.recovers_in for one in call.excluded if one.recovers_in is not None]
    times += [failure.retry_after for failure in call.tried.values() if failure.retry_after is not None]
    return min(times) if times else None
