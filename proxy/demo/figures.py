"""What the demo measured: every question and what came of it, and the summary made of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question as the app saw it. Times are monotonic seconds."""

    asked_at: float
    output_at: float
    """When its first output could be read (a plain answer: all of it); for an error, when it was told."""
    provider: str = ""
    """Who answered, by `x-sidestep-provider`."""
    failed_over: bool = False
    """Whether another provider had failed at it before, by `x-sidestep-failover`."""
    stream: bool = False
    error: str = ""
    """What was wrong with it; empty for a good answer."""

    @property
    def waited(self) -> float:
        """Seconds from the question to the first output."""
        return self.output_at - self.asked_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures at the end. None: it did not happen."""

    requests: int
    by_provider: Mapping[str, int]
    streams: int
    failovers: int
    """Requests that a provider failed at and another one answered."""
    kept_away: int
    """Requests that the open breaker sent to the secondary straight away."""
    errors: Sequence[str]
    """What the app saw go wrong."""
    usual_wait: float | None
    """Median seconds to the first output before the outage."""
    worst_added: float | None
    """Seconds that the slowest answer of the outage took longer than that."""
    failed_over_in: float | None
    """Seconds from the outage to the first output of the secondary."""
    returned_in: float | None
    """Seconds from the recovery to the first output of the primary."""

    @property
    def good(self) -> bool:
        """Whether the app noticed nothing and the traffic went over and came back."""
        return not self.errors and self.failovers > 0 and None not in (self.failed_over_in, self.returned_in)


def summarise(answers: Sequence[Answer], outage_at: float, recovered_at: float) -> Summary:
    """Work out the figures. The primary was down from `outage_at` to `recovered_at`."""
    good = [answer for answer in answers if not answer.error]
    before = [answer.waited for answer in good if answer.output_at < outage_at]
    during = [answer.waited for answer in good if answer.output_at >= outage_at and answer.asked_at < recovered_at]
    rescued = [
        answer.output_at - outage_at
        for answer in good
        if answer.provider == "secondary" and answer.output_at >= outage_at
    ]
    returned = [
        answer.output_at - recovered_at
        for answer in good
        if answer.provider == "primary" and answer.asked_at >= recovered_at
    ]
    usual = median(before) if before else None
    return Summary(
        requests=len(answers),
        by_provider=Counter(answer.provider for answer in good),
        streams=sum(answer.stream for answer in answers),
        failovers=sum(answer.failed_over for answer in good),
        kept_away=sum(answer.provider == "secondary" and not answer.failed_over for answer in good),
        errors=[answer.error for answer in answers if answer.error],
        usual_wait=usual,
        worst_added=max(0.0, max(during) - usual) if during and usual is not None else None,
        failed_over_in=min(rescued, default=None),
        returned_in=min(returned, default=None),
    )
