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
    """All plays, each of whose rounds takes so many seconds, where it is not the play that says so."""
    plain = [
        Play(
            f"plain-{level}",
            f"Plain questions, {level} at a time",
            with_no_proxy,
            "yardstick",
            measures.plain(level, seconds),
            compare=measures.added_p50,
        )
        for level in (1, 16, 64)
    ]
    return [
        *plain,
        Play(
            "streams",
            "Streams of 100 events as fast as they are taken, 32 at a time",
            with_no_proxy,
            "yardstick",
            measures.streams(32, seconds),
        ),
        Play(
            "paced",
            "100 streams of 100 events a second each",
            with_no_proxy,
            "yardstick",
            measures.paced(100, seconds),
        ),
        Play(
            "slow",
            "1,000 streams of one event a second, for 10 s",
            side_by_side,
            "yardstick",
            measures.slow,
            fresh=True,
        ),
        Play(
            "idle",
            "10,000 connections (or what the descriptor limit allows) that have asked once and stay open",
            side_by_side,
            "yardstick",
            measures.idle_connections,
            fresh=True,
        ),
        Play(
            "failover",
            "The primary refuses connections and its breaker is open; plain questions, 64 at a time",
            paths,
            "healthy",
            measures.plain(64, seconds),
        ),
        Play(
            "tracing",
            "Shares of traces that are kept; plain questions, 64 at a time",
            sampling,
            "no traces",
            measures.tracing(seconds),
            rest=measures.SPANS_SETTLE,
        ),
        Play("start", "Start to first answer, and idle memory", side_by_side, "yardstick", measures.start, fresh=True),
        Play(
            "workers",
            WORKERS,
            crews,
            "1 worker",
            measures.plain(64, seconds),
        ),
    ]
