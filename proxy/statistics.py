"""How many requests there were and how they went, since the start or the last reset: an observer of the engine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.record import Attempt, Record

_ANSWERED = frozenset({"ok", "degraded"})


@dataclass(slots=True)
class Pace:
    """How fast one provider writes."""

    tokens: int = 0
    seconds: float = 0.0
    """From the first output to the end, of the answers that told their tokens."""

    @property
    def tokens_per_second(self) -> float | None:
        """None when no answer told."""
        return self.tokens / self.seconds if self.seconds > 0 else None


@dataclass(slots=True)
class Statistics:
    """Counts only; what is measured over the last minutes and decided by lives in the registry, and is never reset."""

    since: float
    """Epoch seconds at which counting began."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """`ok`, `degraded`, `refused`, `failed`, `broken`, `cancelled` -> requests."""
    failovers: int = 0
    """Requests for which more than one provider was asked."""
    usage: Counter[str] = field(default_factory=Counter)
    """Provider -> requests that it answered to the end."""
    paces: dict[str, Pace] = field(default_factory=dict)
    """By provider."""

    def observe(self, records: Sequence[Record]) -> None:
        """Count finished requests."""
        for record in records:
            ending = record.outcome
            self.outcomes[ending] += 1
            if record.failed_over:
                self.failovers += 1
            if ending in _ANSWERED and (served := record.served()) is not None:
                self.usage[served.provider] += 1
                self._time(served)

    def reset(self, wall: float) -> None:
        """Begin anew. `wall` is epoch seconds."""
        self.since = wall
        self.outcomes.clear()
        self.usage.clear()
        self.paces.clear()
        self.failovers = 0

    def document(self) -> dict[str, Any]:
        """The counts by the names that status and the library give them. `success_rate` is 0-1, and 0 without any."""
        total = self.outcomes.total()
        successful = self.outcomes["ok"]
        return {
            "since": self.since,
            "total_requests": total,
            "successful_requests": successful,
            "failover_count": self.failovers,
            "success_rate": successful / total if total else 0.0,
            "provider_usage": dict(self.usage),
            "outcomes": dict(self.outcomes),
        }

    def _time(self, attempt: Attempt) -> None:
        tokens = attempt.facts.output_tokens
        begun = attempt.started if attempt.first_output_at is None else attempt.first_output_at
        if tokens and attempt.ended > begun:
            pace = self.paces.get(attempt.provider)
            if pace is None:
                pace = self.paces[attempt.provider] = Pace()
            pace.tokens += tokens
            pace.seconds += attempt.ended - begun
