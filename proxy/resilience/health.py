"""The health of one endpoint of a provider: what checks and live traffic, taken together, say of it.

    UNKNOWN ─── a success ──► HEALTHY ◄───── `healthy_after` successes in a row ─────┬────────────────┐
       │                         │                                                   │                │
       └──────── a failure ──────┴────────► DEGRADED ── `unhealthy_after` failures in a row ──► UNHEALTHY

Live traffic moves the state but never takes a provider out of the choice: that is the breaker's business, which finds
out by live requests when it is over. Only a failed check that leaves the state `unhealthy` makes a provider `avoided`,
because the checks go on and will see it come back. A passing check in turn closes no breaker. All times but
`last_check` are monotonic seconds.
"""

from dataclasses import dataclass
from enum import StrEnum

from proxy.config.snapshot import HealthSettings
from proxy.errors import ErrorClass, Failure

_JITTER = 0.1
"""A pause is shortened or stretched by up to this share, so that many sidecars do not check at the same moment."""
_SOONER = 4
"""A provider in trouble is checked this many times as often (HAProxy's `fastinter` and `downinter`), so that it is back
soon after it has recovered."""


class Status(StrEnum):
    """What is believed; `unknown` counts as usable."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    DISABLED = "disabled"
    """Told of a provider that is switched off; no evidence leads here."""


_HEALTHY = Status.HEALTHY  # kept at hand: looking a member up is slow before Python 3.12


@dataclass(slots=True)
class Health:
    """State only; the settings come with every piece of evidence, so that a reload changes them."""

    status: Status = Status.UNKNOWN
    consecutive_failures: int = 0
    consecutive_successes: int = 0
    avoided: bool = False
    """Whether checks have taken it out of the choice, as long as there is another."""
    recovered_at: float | None = None
    """When it last stopped being avoided."""
    last_check: float | None = None
    """Epoch seconds at which the last check ended."""
    last_latency: float | None = None
    """Seconds that it took."""
    last_error: str = ""
    """What the last failure was, of a check or of live traffic; empty when there was none."""
    next_check: float | None = None
    """When it will be checked again; None when it will not."""

    def succeed(self, settings: HealthSettings, now: float) -> bool:
        """Count an answer, to a check or to a client; True when the status changed."""
        self.consecutive_failures = 0
        self.consecutive_successes += 1
        if self.status is _HEALTHY:
            return False
        if self.status is not Status.UNKNOWN and self.consecutive_successes < settings.healthy_after:
            return False
        self.status = _HEALTHY
        if self.avoided:
            self.avoided = False
            self.recovered_at = now
        return True

    def fail(self, settings: HealthSettings, error: str, *, check: bool) -> bool:
        """Count a failure of a check or, when not `check`, of live traffic; True when the status changed."""
        self.consecutive_successes = 0
        self.consecutive_failures += 1
        self.last_error = error
        before = self.status
        if self.consecutive_failures >= settings.unhealthy_after:
            self.status = Status.UNHEALTHY
        elif before is not Status.UNHEALTHY:
            self.status = Status.DEGRADED
        self.avoided = self.avoided or (check and self.status is Status.UNHEALTHY)
        return self.status is not before

    def note_check(self, wall: float, latency: float) -> None:
        """Remember when the last check ended (epoch seconds) and how long it took."""
        self.last_check = wall
        self.last_latency = latency

    def next_check_in(self, now: float) -> float | None:
        """Return seconds until the next check; None when none is planned."""
        return None if self.next_check is None else max(0.0, self.next_check - now)


def pause(health: Health, settings: HealthSettings, draw: float) -> float:
    """Return the seconds until the next check. `draw` is from [0, 1)."""
    troubled = health.status in {Status.DEGRADED, Status.UNHEALTHY}
    interval = settings.interval / _SOONER if troubled else settings.interval
    return interval * (1.0 - _JITTER + 2.0 * _JITTER * draw)


_ABOUT_THE_QUESTION = frozenset(
    {
        ErrorClass.UNSUPPORTED,
        ErrorClass.INVALID_REQUEST,
        ErrorClass.CONTEXT_LENGTH,
        ErrorClass.CONTENT_POLICY,
    }
)
_ABOUT_THE_MOMENT = frozenset({ErrorClass.RATE_LIMITED, ErrorClass.SHED, ErrorClass.CANCELLED})


def conclusive(failure: Failure, *, configured: bool) -> bool:
    """Say whether a failed check tells anything of the provider's health.

    A provider that has no list of models (404, 405), or does not show it to this key (403), may answer chats all the
    same. What the configuration itself asks for (`configured`) is meant: there, only "not now" tells nothing.
    """
    if failure.error_class in _ABOUT_THE_MOMENT:
        return False
    return configured or (failure.error_class not in _ABOUT_THE_QUESTION and failure.status != 403)
