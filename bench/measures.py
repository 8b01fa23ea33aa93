"""How each question is measured: every function asks one contestant for one round and returns its figures by name.

Rates count right answers within the time that was given; processor time and wrong answers, all that was asked.
"""

import json
import resource
import subprocess
import time
from collections.abc import Callable

from bench.contestants import Started
from bench.ground import Asked, Asking, CouldNotMeasure, Ground, Totals, parse_totals

Figures = dict[str, float]
Measure = Callable[[Ground, Started], Figures]

WRONG = "wrong answers"
BUSY = "load core busy, %"
KEPT = "connections kept"
BROKEN = "broken streams"
EXPORTED = "spans exported per request"
DROPPED = "spans dropped per request"
STREAM_EVENTS = 100
IDLE_CONNECTIONS = 10_000
"""Or as many as there may be descriptors, where a proxy keeps a second one free for each."""
SLOW_STREAMS = 1_000
SPANS_SETTLE = 6.0
"""Seconds after which the last batch of spans has been sent: OpenTelemetry sends every 5 s."""


def plain(concurrency: int, seconds: float) -> Measure:
    """Plain questions, so many at a time."""

    def measure(ground: Ground, started: Started) -> Figures:
        asked, cpu = ask(ground, started, connections=concurrency, seconds=seconds)
        totals = asked.totals
        figures = {
            "requests/s": totals.in_time / totals.seconds,
            "p50, ms": totals.latency_ms["p50"],
            "p99, ms": totals.latency_ms["p99"],
        }
        if started.program:
            figures["CPU ms per request"] = per(cpu * 1000, totals.answered)
            figures["RSS under load, MB"] = started.program.rss() / 1e6
        return figures | checked(asked)

    return measure


def streams(count: int, seconds: float) -> Measure:
    """Streams whose events come as fast as they are taken."""

    def measure(ground: Ground, started: Started) -> Figures:
        asked, figures = streamed(ground, started, count, seconds, every=0)
        return figures | checked(asked)

    return measure


def paced(count: int, seconds: float) -> Measure:
    """Streams of 100 events a second."""

    def measure(ground: Ground, started: Started) -> Figures:
        asked, figures = streamed(ground, started, count, seconds, every=10)
        gaps = {
            "first event p50, ms": asked.totals.first_ms["p50"],
            "gap p50, ms": asked.totals.gap_ms["p50"],
            "gap p99, ms": asked.totals.gap_ms["p99"],
        }
        return figures | gaps | checked(asked)

    return measure


def streamed(ground: Ground, started: Started, count: int, seconds: float, *, every: int) -> tuple[Asked, Figures]:
    """Ask for so many streams at a time, an event `every` so many milliseconds, and say what the events took."""
    asked, cpu = ask(
        ground, started, connections=count, seconds=seconds, mix="stream:1", events=STREAM_EVENTS, every=every
    )
    figures = {"events/s": asked.totals.events_in_time / asked.totals.seconds}
    if started.program:
        figures["CPU ms per 1,000 events"] = per(cpu * 1e6, asked.totals.events)
    return asked, figures


def slow(ground: Ground, started: Started) -> Figures:
    """A thousand streams of one event a second, for ten seconds: the memory that they take."""
    warm_up(ground, started)
    idle = peak = started.running.rss()

    def watch() -> None:
        nonlocal peak
        peak = max(peak, started.running.rss())

    asked, cpu = ask(
        ground, started, watch, connections=SLOW_STREAMS, requests=SLOW_STREAMS, mix="stream:1", events=10, every=1000
    )
    return {
        "peak RSS, MB": peak / 1e6,
        "RSS per stream, KB": (peak - idle) / SLOW_STREAMS / 1e3,
        "CPU ms per 1,000 events": per(cpu * 1e6, asked.totals.events),
        BROKEN: float(asked.totals.wrong),
    } | checked(asked)


def idle_connections(ground: Ground, started: Started) -> Figures:
    """Ten thousand connections that have asked once and stay open."""
    warm_up(ground, started)
    time.sleep(1)
    before = started.running.rss()
    contestant = started.contestant
    words = [f"header={header}" for header in contestant.headers]
    count = min(IDLE_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)
    command = ground.load(*words, port=contestant.port, connections=count, requests=count, hold=1)
    with Asking(command, ground.cores.load) as asking:
        totals = parse_totals(read_line(asking.process))
        time.sleep(1)
        after = started.running.rss()
        kept = json.loads(asking.finish(30).strip().splitlines()[-1])["open"]
    return {
        "RSS over idle, MB": (after - before) / 1e6,
        "KB per connection": per((after - before) / 1e3, kept),
        KEPT: float(kept),
        WRONG: float(totals.wrong),
    }


def tracing(seconds: float) -> Measure:
    """Plain questions, and what became of the spans."""

    def measure(ground: Ground, started: Started) -> Figures:
        taken, dropped = ground.spans(), started.metric("sidestep_spans_dropped_total")
        before = started.running.cpu()
        asked, _ = ask(ground, started, connections=64, seconds=seconds)
        totals = asked.totals
        time.sleep(SPANS_SETTLE)
        cpu = started.running.cpu() - before  # what is sent later was made by these requests, too
        return {
            "requests/s": totals.in_time / totals.seconds,
            "CPU ms per request": per(cpu * 1000, totals.answered),
            EXPORTED: per(ground.spans() - taken, totals.answered),
            DROPPED: per(started.metric("sidestep_spans_dropped_total") - dropped, totals.answered),
        } | checked(asked)

    return measure


def start(_: Ground, started: Started) -> Figures:
    """From its start to its first answer, and the memory that it then takes."""
    time.sleep(1)
    return {"start to first answer, s": started.ready_after, "idle RSS, MB": started.running.rss() / 1e6}


def warm_up(ground: Ground, started: Started) -> None:
    """Let caches fill and code be specialised before anything counts."""
    contestant = started.contestant
    ground.ask(
        contestant.port, headers=contestant.headers, connections=16, seconds=0.5, mix="plain:4,stream:1", events=10
    )


def ask(
    ground: Ground, started: Started, watch: Callable[[], object] | None = None, **named: object
) -> tuple[Asked, float]:
    """Ask, and tell also the seconds of processor time that the contestant took for it."""
    program, contestant = started.program, started.contestant
    before = program.cpu() if program else 0.0
    asked = ground.ask(contestant.port, headers=contestant.headers, watch=watch, **named)
    return asked, program.cpu() - before if program else 0.0


def checked(asked: Asked) -> Figures:
    """The figures that tell whether the others can be believed."""
    totals: Totals = asked.totals
    if not totals.answered:
        raise CouldNotMeasure("nothing was answered in time")
    return {BUSY: asked.busy * 100, WRONG: float(totals.wrong)}


def per(amount: float, count: float) -> float:
    """So much for each, where there are any."""
    if not count:
        raise CouldNotMeasure("there is nothing to divide by")
    return amount / count


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line that the load prints; it ends by itself when nothing comes for half a minute."""
    if process.stdout is None:
        raise CouldNotMeasure("the load has no output")
    return process.stdout.readline()


def added_p50(by_contestant: dict[str, Figures]) -> None:
    """Tell how much later than without a proxy the answers of one round came."""
    base = by_contestant.get("no proxy")
    if base is None:
        return
    for name, figures in by_contestant.items():
        if name != "no proxy":
            figures["added p50, ms"] = figures["p50, ms"] - base["p50, ms"]
