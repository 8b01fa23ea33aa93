"""One clock over everything: attempts, waits and failovers share it."""

import asyncio
from math import inf

from proxy.errors import DeadlineExceeded
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler


class _Expiry:
    """Cancels a task when its time has come, and knows its own cancellation from anybody else's.

    `asyncio.timeout` in the two steps that it comes down to.
    """

    __slots__ = ("_others", "_task", "come", "due")

    def __init__(self, task: "asyncio.Task[object]", due: float) -> None:
        self._task = task
        self._others = task.cancelling()
        self.due = due
        self.come = False

    def strike(self) -> None:
        """It is time."""
        self.come = True
        self._task.cancel()

    def alone(self) -> bool:
        """Whether nobody else wants the task to end; takes our own wish back."""
        return self._task.uncancel() <= self._others


class _Expiries:
    """Those of all requests under way, on a single timer, which is set for the first of them.

    Hardly any request is still there when its time comes, so a timer that fires finds, as a rule, that the next time is
    a long way off, and is set once more. That is once in a deadline's length, and not twice for every request.
    """

    def __init__(self) -> None:
        self._under_way: set[_Expiry] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf

    def add(self, expiry: _Expiry, loop: asyncio.AbstractEventLoop) -> None:
        """Let it strike when its time comes."""
        self._under_way.add(expiry)
        if expiry.due < self._alarm_at:
            self._set(expiry.due, loop)

    def remove(self, expiry: _Expiry) -> None:
        """The request is over."""
        self._under_way.discard(expiry)

    def _set(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = loop.call_at(due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm, self._alarm_at = None, inf
        now = loop.time()
        for expiry in [each for each in self._under_way if each.due <= now]:
            self._under_way.discard(expiry)
            expiry.strike()
        if self._under_way:
            self._set(min(each.due for each in self._under_way), loop)


def deadline() -> Answering:
    """Set the call's deadline (the policy's `timeouts.total`, or the client's own if tighter) and end at it with 504.

    A committed stream has left the stage by then; its body keeps the same deadline.
    """
    expiries = _Expiries()

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        total = call.policy.timeouts.total
        wanted = call.request.timeout
        if wanted is not None and wanted < total:
            total, call.own_deadline = wanted, False
        call.deadline = call.request.received + total
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  a coroutine runs in a task
        expiry = _Expiry(task, call.deadline)
        expiries.add(expiry, loop)
        try:
            return await following(call)
        except asyncio.CancelledError:
            if not expiry.come or not expiry.alone():
                raise
            made = len(call.record.attempts)
            raise DeadlineExceeded(f"no answer within {total:g} s, after {made} attempts", should_retry=False) from None
        finally:
            expiries.remove(expiry)

    return Answering("deadline", run, noted=False)
