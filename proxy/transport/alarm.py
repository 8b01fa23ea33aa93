"""A timer that is cheap to move: its time is a number, which it looks at when it fires, and sleeps on.

Hardly anything is still there when its time comes, so timers that are made and cancelled would be made in vain. Of this
one a timer of the loop is made when its time is put forward, and once in a while.
"""

import asyncio
from collections.abc import Callable
from math import inf


class Alarm:
    """Strikes once when its time has come; set again, once more."""

    __slots__ = ("_loop", "_rings_at", "_strike", "_timer", "due")

    def __init__(self, loop: asyncio.AbstractEventLoop, strike: Callable[[], object]) -> None:
        self.due = inf
        """When it strikes (the loop's time); `inf`: never."""
        self._loop = loop
        self._strike = strike
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def set(self, due: float) -> None:
        """Let it strike then, and not before."""
        self.due = due
        if due < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._ring_at(due)

    def stop(self) -> None:
        """Let it never strike again; it lets go of whom it would have struck."""
        self.due = inf
        self._strike = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring_at(self, due: float) -> None:
        self._rings_at = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer, self._rings_at = None, inf
        if self._loop.time() >= self.due:
            self.due = inf
            self._strike()
        elif self.due < inf:
            self._ring_at(self.due)


def _nobody() -> None:
    """Whom a stopped alarm strikes."""
