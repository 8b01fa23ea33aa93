"""What to answer when every provider failed, in the policy's order: another model, or a configured answer."""

from proxy.clock import Clock
from proxy.dialects.static import static_answer
from proxy.errors import AllProvidersFailed, NoProviderAvailable, RateLimited, SidestepError
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.pipeline.stream import HEADERS

_OURS = (AllProvidersFailed, NoProviderAvailable, RateLimited)
"""Errors that a degradation may replace; a verdict on the request or a passed deadline is told as it is."""


def degrade(clock: Clock) -> Answering:
    """Try the policy's `degrade` steps after a failure; the original error is told when none of them answers."""

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        steps = call.policy.degrade
        call.reserved = sum(1 for step in steps if step.model is not None)
        try:
            return await following(call)
        except _OURS as error:
            failed: SidestepError = error
        for step in steps:
            if step.model is not None and call.attempts_left < 1:
                continue  # the cap holds here too, should the first turn have used up the call that was kept back
            call.note("degrade", clock.now(), {"sidestep.degrade": "model" if step.model else "static"})
            if step.static is not None:
                reply = _static(call, step.static, clock)
                if reply is not None:
                    return reply
            if step.model is not None:
                call.reserved -= 1
                call.fresh()
                call.model = step.model
                try:
                    reply = await following(call)
                except _OURS:
                    continue
                call.record.degraded = "model"
                return reply
        raise failed

    return Answering("degrade", run)


def _static(call: Call, text: str, clock: Clock) -> Reply | None:
    answer = static_answer(call.request, text, created=int(clock.wall()))
    if answer is None:
        return None
    call.record.degraded = "static"
    headers = dict(HEADERS) if call.request.stream else {"content-type": "application/json"}
    return Reply(status=200, headers=headers, body=answer)
