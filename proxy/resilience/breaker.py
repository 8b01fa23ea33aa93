"""The circuit breaker of one provider: leave it alone while it fails, and find out gently when it has recovered.

                 `failures` in a row, or `ratio` of `window`
        CLOSED ──────────────────────────────────────────────► OPEN ◄─────────┐
          ▲                                                      │            │ a probe fails:
          │ as many probes succeed as may run at once            │ time       │ the next wait is twice as long
          │                                                      ▼            │
          └───────────────────────────────────────────────── HALF_OPEN ───────┘

A permit remembers the epoch it was given in, and every change between closed and open begins a new one, so that the
outcome of a request that began before a change says nothing after it. Each permit is settled exactly once, by
`success`, `failure` or `release`. All times are monotonic seconds and `now` never decreases.
"""

from dataclasses import dataclass
from enum import StrEnum

from proxy.config.snapshot import BreakerSettings
from proxy.resilience.tally import Tally

_JITTER = 0.2
"""An open time is stretched by up to this share, so that many sidecars do not probe at the same moment."""
_MOST_DOUBLINGS = 30
"""More would overflow long after `max_open_for` has decided."""


class State(StrEnum):
    """Whether requests go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_CLOSED = State.CLOSED  # kept at hand: looking a member up is slow before Python 3.12


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one attempt."""

    epoch: int
    """The breaker's epoch when it was given."""
    probe: bool
    """Whether it was given to find out about a provider that is not trusted yet."""


class Breaker:
    """State only; the settings come with every call, so that a reload changes them without losing what is known."""

    __slots__ = (
        "_closed_ratio",
        "_epoch",
        "_failures",
        "_leave",
        "_open_length",
        "_open_since",
        "_probe_successes",
        "_probes",
        "_trips",
        "opens_until",
        "recovered_at",
    )

    def __init__(self) -> None:
        self._epoch = 0
        self._leave = Permit(0, probe=False)
        """What everybody gets while it is closed: one permit is as good as another within an epoch."""
        self.opens_until: float | None = None
        """Monotonic time at which it half-opens; None when it is closed."""
        self._open_since: float | None = None
        self._open_length = 0.0
        self._trips = 0
        """Openings in a row, without a lasting recovery between them; each doubles the open time."""
        self._failures = 0
        self._closed_ratio = Tally()
        """Successes and failures while closed."""
        self._probes = 0
        """Probes in flight."""
        self._probe_successes = 0
        self.recovered_at: float | None = None
        """Monotonic time at which it last closed after having been open; None when it never was."""

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._failures

    @property
    def open_since(self) -> float | None:
        """Monotonic time at which it last left closed; None when it is closed. A probe that fails does not move it."""
        return self._open_since

    def state(self, now: float) -> State:
        """Return the state; an open breaker whose time has passed reads half open."""
        if self.opens_until is None:
            return _CLOSED
        return State.OPEN if now < self.opens_until else State.HALF_OPEN

    def available(self, now: float, settings: BreakerSettings) -> bool:
        """Say whether `acquire` would give a permit now."""
        until = self.opens_until
        return until is None or (now >= until and self._probes < settings.half_open)

    def acquire(self, now: float, settings: BreakerSettings) -> Permit | None:
        """Give a permit, or None when the provider is to be left alone."""
        if self.opens_until is None:
            return self._leave
        return self.force_acquire(now) if self.available(now, settings) else None

    def force_acquire(self, now: float) -> Permit:
        """Give a permit whatever the state: the last chance of a request when every candidate is open.

        Unless the breaker is closed it counts as a probe, and takes up a slot even where none is free.
        """
        if self.state(now) is _CLOSED:
            return self._leave
        self._probes += 1
        return Permit(self._epoch, probe=True)

    def release(self, permit: Permit) -> None:
        """Take a permit back without an outcome (the client left): it frees a probe's slot and counts as nothing."""
        if permit.epoch == self._epoch and permit.probe:
            self._probes -= 1

    def success(self, permit: Permit, now: float, settings: BreakerSettings) -> bool:
        """Count a success; True when it closed the breaker."""
        if permit.epoch != self._epoch:
            return False
        if not permit.probe:
            self._failures = 0
            self._closed_ratio.add(now, settings.window, first=1)
            return False
        self._probes -= 1
        self._probe_successes += 1
        if self._probe_successes < settings.half_open:
            return False
        self._close(now)
        return True

    def failure(self, permit: Permit, now: float, settings: BreakerSettings, draw: float) -> bool:
        """Count a failure; True when it opened the breaker. `draw` is from [0, 1)."""
        if permit.epoch != self._epoch:
            return False
        self._failures += 1
        if permit.probe:
            self._probes -= 1
            if self.state(now) is State.OPEN:
                return False  # forced ahead of its time: no news, and no reason to wait longer than planned
        else:
            self._closed_ratio.add(now, settings.window, second=1)
            if not self._too_many_failures(now, settings):
                return False
            if self.recovered_at is None or now - self.recovered_at >= self._open_length:
                self._trips = 0  # it stayed closed for at least as long as it had been open: a trouble of its own
        self._open(now, settings, draw)
        return True

    def _too_many_failures(self, now: float, settings: BreakerSettings) -> bool:
        if self._failures >= settings.failures:
            return True
        successes, failures = self._closed_ratio.totals(now, settings.window)
        total = successes + failures
        return total >= settings.min_requests and failures >= settings.ratio * total

    def _open(self, now: float, settings: BreakerSettings, draw: float) -> None:
        doubled = settings.open_for * 2.0 ** min(self._trips, _MOST_DOUBLINGS)
        self._open_length = min(settings.max_open_for, doubled) * (1.0 + _JITTER * draw)
        self.opens_until = now + self._open_length
        self._open_since = now if self._open_since is None else self._open_since
        self._trips += 1
        self._begin_epoch()

    def _close(self, now: float) -> None:
        self.opens_until = None
        self._open_since = None
        self._failures = 0
        self.recovered_at = now
        self._closed_ratio.clear()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._leave = Permit(self._epoch, probe=False)
        self._probes = 0
        self._probe_successes = 0
