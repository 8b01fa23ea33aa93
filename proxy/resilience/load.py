"""Whether this process can take another request: requests in flight, a loop that runs behind, memory that runs out.

Lateness is what a sensor finds when it looks at fixed times: how long after its time it got to run. One late moment (a
collection of garbage, a large body parsed) is no overload; three looks in a row that were all late are a standing
queue, which is what CoDel (RFC 8289) calls a bad one.
"""

from collections import deque
from enum import StrEnum
from math import inf

from proxy.config.snapshot import Limits

STANDING = 3
"""Looks in a row that must be late before new requests are refused."""
RECENT = 1.0
"""Seconds for which a stall is remembered as the possible cause of a timeout."""
RELIEF = 0.5, 0.97
"""Shares of the limits (of lag, of memory) below which a refusal ends: a little later than it began, so that it does
not flutter."""
AT_FAULT = 0.5
"""Share of a wait that our own stall may take before the wait says nothing about whom we waited for."""


class Strain(StrEnum):
    """Why new requests are refused."""

    IN_FLIGHT = "in_flight"
    """As many requests are being answered as the limit says."""
    LAG = "lag"
    """The event loop keeps running behind."""
    MEMORY = "memory"
    """The container's memory is nearly used up."""


class Load:
    """What the sensor found, and what follows from it."""

    __slots__ = ("_due", "_looks", "memory", "refused", "strain")

    def __init__(self) -> None:
        self.strain: Strain | None = None
        """Why new requests are refused at the moment, by what the sensor found; None: they are not."""
        self.memory = 0.0
        """Share of the container's memory limit in use; 0 when there is none."""
        self.refused = dict.fromkeys(Strain, 0)
        """Requests refused so far."""
        self._due = inf
        self._looks: deque[tuple[float, float]] = deque(maxlen=STANDING)
        """When the sensor last looked, and how late it was."""

    def expect(self, due: float) -> None:
        """The sensor will look again at this moment, if it gets to run."""
        self._due = due

    def observe(self, now: float, memory: float, limits: Limits) -> None:
        """The sensor looks: judge what it finds against the limits."""
        late = max(0.0, now - self._due)
        self._looks.append((now, late))
        self.memory = memory
        lagging, full = (
            share if self.strain is strain else 1.0
            for share, strain in zip(RELIEF, (Strain.LAG, Strain.MEMORY), strict=True)
        )
        standing = min(late for _, late in self._looks) if len(self._looks) == STANDING else 0.0
        if limits.lag and (late if self.strain is Strain.LAG else standing) > limits.lag * lagging:
            self.strain = Strain.LAG
        elif limits.memory and memory > limits.memory * full:
            self.strain = Strain.MEMORY
        else:
            self.strain = None

    def refuse(self, in_flight: int, limits: Limits) -> Strain | None:
        """Say why a request must be refused, the newcomer counted among `in_flight`; None when it need not."""
        strain = Strain.IN_FLIGHT if in_flight > limits.in_flight else self.strain
        if strain is not None:
            self.refused[strain] += 1
        return strain

    def lag(self, now: float) -> float:
        """Return the worst lateness of the last second, the look that is overdue included; seconds."""
        recent = [late for when, late in self._looks if now - when <= RECENT]
        return max(0.0, now - self._due, *recent)

    def at_fault(self, now: float, waited: float) -> bool:
        """Say whether a wait of that many seconds came to nothing because we ourselves stood still."""
        return self.lag(now) > waited * AT_FAULT
