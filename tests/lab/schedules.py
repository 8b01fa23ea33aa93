"""When which fault strikes: functions from a request's index (from 0) to a fault, or None for the upstream's own.

Seeded ones depend on seed and index alone, so that a failing run can be repeated.
"""

import random
import time
from collections.abc import Callable

from lab.fault import Fault

Schedule = Callable[[int], str | Fault | None]


def share(fault: str | Fault, ratio: float, *, seed: int = 0) -> Schedule:
    """Strike that share of the requests: `share("status:500", 0.2)`."""
    return lambda index: fault if random.Random(f"{seed}:{index}").random() < ratio else None


def between(fault: str | Fault, first: int, last: int) -> Schedule:
    """Strike from the `first` to the `last` request, counted from 1, both included."""
    return lambda index: fault if first <= index + 1 <= last else None


def for_seconds(fault: str | Fault, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> Schedule:
    """Strike every request of that many seconds, counted from now."""
    ends = clock() + seconds
    return lambda _: fault if clock() < ends else None


def flapping(fault: str | Fault, *, up: float, down: float, clock: Callable[[], float] = time.monotonic) -> Schedule:
    """Be well for `up` seconds, struck for `down`, and so on, counted from now."""
    start = clock()
    return lambda _: fault if (clock() - start) % (up + down) >= up else None


def brown_out(fault: str | Fault, *, per_second: int, clock: Callable[[], float] = time.monotonic) -> Schedule:
    """Serve that many requests in any one second and strike the others."""
    served: list[float] = []

    def schedule(_: int) -> str | Fault | None:
        now = clock()
        served[:] = [at for at in served if at > now - 1]
        if len(served) >= per_second:
            return fault
        served.append(now)
        return None

    return schedule


def mixed(*faults: str | Fault, seed: int = 0) -> Schedule:
    """Draw one of the faults for every request."""
    return lambda index: random.Random(f"{seed}:{index}").choice(faults)
