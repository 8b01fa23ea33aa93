"""One clock over everything: attempts, waits and failovers share it."""

import asyncio

from proxy.errors import DeadlineExceeded
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler


class _Expiry:
    """Cancels a task when its time has come, and knows its own cancellation from anybody else's.

    `asyncio.timeout` in the two steps that it comes down to; a request pays for nothing more.
    """

    __slots__ = ("_others", "_task", "come")

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self._task = task
        self._others = task.cancelling()
        self.come = False

    def __call__(self) -> None:
        self.come = True
        self._task.cancel()

    def alone(self) -> bool:
        """Whether nobody else wants the task to end; takes our own wish back."""
        return self._task.uncancel() <= self._others


async def _run(call: Call, following: Handler[Reply]) -> Reply:
    total = call.policy.timeouts.total
    wanted = call.request.timeout
    if wanted is not None and wanted < total:
        total, call.own_deadline = wanted, False
    call.deadline = call.request.received + total
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    assert task is not None  # noqa: S101  a coroutine runs in a task
    expiry = _Expiry(task)
    alarm = loop.call_at(call.deadline, expiry)
    try:
        return await following(call)
    except asyncio.CancelledError:
        if not expiry.come or not expiry.alone():
            raise
        made = len(call.record.attempts)
        raise DeadlineExceeded(f"no answer within {total:g} s, after {made} attempts", should_retry=False) from None
    finally:
        alarm.cancel()


deadline = Answering("deadline", _run, noted=False)
"""Sets the call's deadline (the policy's `timeouts.total`, or the client's own if tighter) and ends at it with 504.

A committed stream has left the stage by then; its body keeps the same deadline.
"""
