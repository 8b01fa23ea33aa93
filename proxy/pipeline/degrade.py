"""What to answer when every provider failed, in the policy's order.

An old answer, another model, another route's providers, or a configured text.
"""

from collections.abc import Mapping

from proxy.clock import Clock
from proxy.config.snapshot import DegradeStep, Route, StaleCache
from proxy.dialects.static import static_answer
from proxy.errors import AllProvidersFailed, NoProviderAvailable, RateLimited, SidestepError
from proxy.messages import Reply
from proxy.pipeline.cache import again
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.pipeline.stream import HEADERS

_OURS = (AllProvidersFailed, NoProviderAvailable, RateLimited)
"""Errors that a degradation may replace; a verdict on the request or a passed deadline is told as it is."""


def degrade(routes: Mapping[str, Route], clock: Clock) -> Answering:
    """Try the policy's `degrade` steps after a failure; the original error is told when none of them answers."""

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        steps = call.policy.degrade
        call.reserved = sum(1 for step in steps if step.asks)
        try:
            return await following(call)
        except _OURS as error:
            failed: SidestepError = error
        for step in steps:
            if step.asks and call.attempts_left < 1:
                continue  # the cap holds here too, should the first turn have used up the call that was kept back
            call.note("degrade", clock.now(), {"sidestep.degrade": step.kind})
            reply = await _answer(call, step, routes, following, clock)
            if reply is not None:
                call.record.degraded = step.kind
                return reply
        raise failed

    return Answering("degrade", run)


async def _answer(
    call: Call, step: DegradeStep, routes: Mapping[str, Route], following: Handler[Reply], clock: Clock
) -> Reply | None:
    """Try one step; None when it has no answer."""
    if step.stale_cache is not None:
        return _stale(call, step.stale_cache, clock.now())
    if step.static is not None:
        return _static(call, step.static, clock)
    call.reserved -= 1
    call.fresh()
    if step.model is not None:
        call.model = step.model
    if step.route is not None:
        call.route = routes[step.route]
    try:
        return await following(call)
    except _OURS:
        return None


def _stale(call: Call, settings: StaleCache, now: float) -> Reply | None:
    kept = call.cache_key and call.route_state.answers.get(call.cache_key, now, settings.max_age)
    return again(call, kept, "stale", now) if kept else None


def _static(call: Call, text: str, clock: Clock) -> Reply | None:
    answer = static_answer(call.request, text, created=int(clock.wall()))
    if answer is None:
        return None
    headers = dict(HEADERS) if call.request.stream else {"content-type": "application/json"}
    return Reply(status=200, headers=headers, body=answer)
