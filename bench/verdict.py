"""The verdict on a soak: does what was sampled once a second keep the promises? Decides; measures nothing."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

MOST_DRIFT_SHARE = 0.05
MOST_DRIFT_BYTES = 8_000_000
MOST_LAG_MS = 10.0
WARM_UP = 0.1
"""Share of the samples that is left out at the beginning."""
ENDS = 0.1
"""Share of the remaining samples that is taken as the beginning, and as the end."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One second."""

    second: float
    answered: int
    """Requests since the beginning."""
    rate: float
    """Requests in a second."""
    rss: int
    """Bytes."""
    descriptors: int
    threads: int
    lag_p50_ms: float
    """How late GET /livez was answered, among the questions of that second."""
    lag_p99_ms: float


@dataclass(frozen=True, slots=True)
class Idle:
    """What the process holds while nobody asks anything."""

    rss: int
    descriptors: int
    threads: int
    in_flight: int
    """Requests, as the metrics tell it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise."""

    promise: str
    found: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """Memory at the beginning, after the warm-up, and at the end."""

    begin: float
    end: float

    @property
    def bytes(self) -> float:
        return self.end - self.begin

    @property
    def share(self) -> float:
        return self.bytes / self.begin


def drift(sizes: Sequence[float]) -> Drift:
    """Compare the medians of the first and of the last tenth of what comes after the warm-up. At least one sample."""
    rest = sizes[int(len(sizes) * WARM_UP) :]
    count = max(1, int(len(rest) * ENDS))
    return Drift(statistics.median(rest[:count]), statistics.median(rest[-count:]))


def judge(samples: Sequence[Sample], before: Idle, after: Idle, lag_p99_ms: float, wrong: int) -> list[Finding]:
    """Hold the series to each promise. `before` and `after`: idle, before the first request and after the last."""
    memory = drift([sample.rss for sample in samples])
    small = memory.share <= MOST_DRIFT_SHARE and memory.bytes <= MOST_DRIFT_BYTES
    grown = f"{memory.bytes / 1e6:+.1f} MB, {memory.share:+.1%} ({memory.begin / 1e6:.1f} to {memory.end / 1e6:.1f} MB)"
    return [
        Finding("every answer right", f"{wrong:,} wrong", wrong == 0),
        Finding("memory drifts by at most 5 % and 8 MB after the warm-up", grown, small),
        back("descriptors back at the baseline", before.descriptors, after.descriptors),
        back("no request is left in flight", before.in_flight, after.in_flight),
        Finding("event-loop lag p99 at most 10 ms", f"{lag_p99_ms:.2f} ms", lag_p99_ms <= MOST_LAG_MS),
    ]


def back(promise: str, before: int, after: int) -> Finding:
    """Is it no more than it was?"""
    return Finding(promise, f"{before} before, {after} after", after <= before)


def table(findings: Sequence[Finding]) -> str:
    """For people."""
    rows = [f"| {each.promise} | {each.found} | {'kept' if each.kept else '**not kept**'} |" for each in findings]
    return "\n".join(["| promise | found | |", "|---|---|---|", *rows])


def plain(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """For programs."""
    return [asdict(each) for each in findings]
