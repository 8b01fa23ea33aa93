"""The plays: each is one question, who is asked, whom the others are compared with, and how it is measured."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import measures
from bench.contestants import Contestant, direct, sidestep, yardstick
from bench.ground import Ground
from bench.measures import Figures, Measure
from bench.others import OTHERS

WORKERS = (
    "One and two workers; plain questions, 64 at a time. On fewer than four cores the second shares one with the load: "
    "there, only CPU per request tells what it would bring"
)
Lineup = Callable[[Ground], list[Contestant]]


@dataclass(frozen=True, slots=True)
class Play:
    """One question."""

    name: str
    question: str
    lineup: Lineup
    baseline: str
    """Whose figures the others' are divided by."""
    headline: str
    """The figure that it is about."""
    measure: Measure
    fresh: bool = False
    """Every round begins with a new process: what an earlier one left in memory would count."""
    rest: float = 0.0
    """Seconds between the warm-up and the first round."""
    compare: Callable[[dict[str, Figures]], None] = lambda _: None
    """Adds figures that follow from those of all contestants of a round."""


def side_by_side(ground: Ground) -> list[Contestant]:
    """The yardstick, sidestep, and whoever else is installed."""
    others = [make(ground) for make in OTHERS]
    return [yardstick(ground), sidestep(ground), *(other for other in others if other)]


def with_no_proxy(ground: Ground) -> list[Contestant]:
    """The same, and the upstream alone: where somebody comes near it, the load sets the pace."""
    return [*side_by_side(ground), direct(ground)]


def paths(ground: Ground) -> list[Contestant]:
    """The path of a request whose primary is well, and of one whose primary refuses connections."""
    return [sidestep(ground, "healthy"), sidestep(ground, "primary dead", first=ground.dead)]


def sampling(ground: Ground) -> list[Contestant]:
    return [
        sidestep(ground, "no traces", sample=None),
        *(sidestep(ground, f"{share} traced", sample=share) for share in ("0%", "1%", "100%")),
    ]


def crews(ground: Ground) -> list[Contestant]:
    return [sidestep(ground, f"{count} worker{'s'[: count - 1]}", workers=count, everywhere=True) for count in (1, 2)]


def repertoire(seconds: float) -> list[Play]:
    """All plays; a turn takes so many seconds where the play does not say otherwise."""
    return [*throughput(seconds), *memory(), *own_paths(seconds)]


def throughput(seconds: float) -> list[Play]:
    """How fast, and what it costs."""
    plain = [
        Play(
            name=f"plain-{level}",
            question=f"Plain questions, {level} at a time",
            lineup=with_no_proxy,
            baseline="yardstick",
            headline="requests/s",
            measure=measures.plain(level, seconds),
            compare=measures.added_p50,
        )
        for level in (1, 16, 64)
    ]
    streams = Play(
        name="streams",
        question="32 streams of 100 events at a time, as fast as they are taken; the upstream writes 16 events at once",
        lineup=with_no_proxy,
        baseline="yardstick",
        headline="events/s",
        measure=measures.streams(32, seconds),
    )
    paced = Play(
        name="paced",
        question="100 streams of 100 events a second each",
        lineup=with_no_proxy,
        baseline="yardstick",
        headline="CPU ms per 1,000 events",
        measure=measures.paced(100, seconds),
    )
    return [*plain, streams, paced]


def memory() -> list[Play]:
    """What it takes while little happens. The plays end by themselves."""
    slow = Play(
        name="slow",
        question="1,000 streams of one event a second, for 10 s",
        lineup=side_by_side,
        baseline="yardstick",
        headline="peak RSS, MB",
        measure=measures.slow,
        fresh=True,
    )
    idle = Play(
        name="idle",
        question="10,000 connections (or what the descriptor limit allows) that have asked once and stay open",
        lineup=side_by_side,
        baseline="yardstick",
        headline="RSS over idle, MB",
        measure=measures.idle_connections,
        fresh=True,
    )
    start = Play(
        name="start",
        question="Start to first answer, and idle memory",
        lineup=side_by_side,
        baseline="yardstick",
        headline="start to first answer, s",
        measure=measures.start,
        fresh=True,
    )
    return [slow, idle, start]


def own_paths(seconds: float) -> list[Play]:
    """sidestep beside itself: a dead primary, more traces, more workers."""
    failover = Play(
        name="failover",
        question="The primary refuses connections and its breaker is open; plain questions, 64 at a time",
        lineup=paths,
        baseline="healthy",
        headline="requests/s",
        measure=measures.plain(64, seconds),
    )
    traced = Play(
        name="tracing",
        question="Shares of traces that are kept; plain questions, 64 at a time",
        lineup=sampling,
        baseline="no traces",
        headline="requests/s",
        measure=measures.tracing(seconds),
        rest=measures.SPANS_SETTLE,
    )
    workers = Play(
        name="workers",
        question=WORKERS,
        lineup=crews,
        baseline="1 worker",
        headline="requests/s",
        measure=measures.plain(64, seconds),
        rest=2.0,  # the last worker may start after the first answer
    )
    return [failover, traced, workers]
