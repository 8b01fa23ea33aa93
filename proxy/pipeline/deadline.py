"""One clock over everything: attempts, waits and failovers share it."""

import asyncio

from proxy.errors import DeadlineExceeded
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler


async def _run(call: Call, following: Handler[Reply]) -> Reply:
    total = call.policy.timeouts.total
    wanted = call.request.timeout
    if wanted is not None and wanted < total:
        total, call.own_deadline = wanted, False
    call.deadline = call.request.received + total
    if call.step:
        call.step.attributes = {"sidestep.deadline_seconds": total}
    try:
        async with asyncio.timeout_at(call.deadline) as scope:
            return await following(call)
    except TimeoutError:
        if not scope.expired():
            raise
        made = len(call.record.attempts)
        raise DeadlineExceeded(f"no answer within {total:g} s, after {made} attempts", should_retry=False) from None


deadline = Answering("deadline", _run)
"""Sets the call's deadline (the policy's `timeouts.total`, or the client's own if tighter) and ends at it with 504.

A committed stream has left the stage by then; its body keeps the same deadline.
"""
