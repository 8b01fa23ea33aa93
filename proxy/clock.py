"""Time and chance: the only file that asks the system for either.

Everything else takes `now`, `wall` and `draw` as arguments, so that a decision can be tested without waiting.
"""

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """What the shells ask of time and chance. All durations are float seconds."""

    def now(self) -> float:
        """Monotonic seconds; the base of every deadline and window. Equals the running event loop's `time()`."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; only for what people and other machines read."""

    def draw(self) -> float:
        """One uniform draw from [0, 1)."""

    def bits(self, count: int) -> int:
        """A random integer of that many bits, never 0; for trace and request identifiers."""

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""


class SystemClock:
    """The machine's own clock and random source."""

    now = staticmethod(time.monotonic)
    """Monotonic seconds (asyncio and uvloop both count on it). Asked a dozen times for every request, so without a
    call of ours in between."""
    wall = staticmethod(time.time)
    """Seconds since the Unix epoch."""
    draw = staticmethod(random.random)
    """One uniform draw from [0, 1); not for secrets."""

    def bits(self, count: int) -> int:
        """A random integer of that many bits, never 0; not for secrets."""
        return random.getrandbits(count) or 1

    async def sleep(self, seconds: float) -> None:
        """Wait at least this many seconds."""
        if seconds > 0:
            await asyncio.sleep(seconds)
