"""One clock over everything: attempts, waits and failovers share it."""

import asyncio

from msgspec import Struct

from proxy.errors import DeadlineExceeded
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.transport.alarm import Alarm


class _Expiry(Struct, eq=False):
    """Cancels a task when its time has come, and knows its own cancellation from anybody else's.

    `asyncio.timeout` in the two steps that it comes down to.
    """

    _task: "asyncio.Task[object]"
    _others: int
    """Who wanted the task to end before."""
    due: float
    come: bool = False

    def strike(self) -> None:
        """It is time."""
        self.come = True
        self._task.cancel()

    def alone(self) -> bool:
        """Whether nobody else wants the task to end; takes our own wish back."""
        return self._task.uncancel() <= self._others


class _Expiries:
    """Those of all requests under way, on a single alarm, which is set for the first of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._under_way: set[_Expiry] = set()
        self._alarm = Alarm(loop, self._look)

    def add(self, expiry: _Expiry) -> None:
        """Let it strike when its time comes."""
        self._under_way.add(expiry)
        if expiry.due < self._alarm.due:
            self._alarm.set(expiry.due)

    def remove(self, expiry: _Expiry) -> None:
        """The request is over."""
        self._under_way.discard(expiry)

    def _look(self) -> None:
        now = self.loop.time()
        for expiry in [each for each in self._under_way if each.due <= now]:
            self._under_way.discard(expiry)
            expiry.strike()
        if self._under_way:
            self._alarm.set(min(each.due for each in self._under_way))


def deadline() -> Answering:
    """Set the call's deadline (the policy's `timeouts.total`, or the client's own if tighter) and end at it with 504.

    A committed stream has left the stage by then; its body keeps the same deadline.
    """
    expiries: _Expiries | None = None
    """Those of the loop that the last request ran in."""

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        total = call.policy.timeouts.total
        wanted = call.request.timeout
        if wanted is not None and wanted < total:
            total, call.own_deadline = wanted, False
        call.deadline = call.request.received + total
        nonlocal expiries
        # Asking which loop runs is a system call; that a task of a loop runs says the same.
        task = asyncio.current_task(expiries.loop) if expiries is not None else None
        if expiries is None or task is None:
            expiries = _Expiries(asyncio.get_running_loop())
            task = asyncio.current_task(expiries.loop)
            assert task is not None  # noqa: S101  a coroutine runs in a task
        expiry = _Expiry(task, task.cancelling(), call.deadline)
        expiries.add(expiry)
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
