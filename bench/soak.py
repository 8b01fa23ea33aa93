"""The soak: millions of requests of all kinds to one sidestep, a sample every second, and the verdict.

Plain questions and streams; a primary that fails, hangs up or cuts its streams now and then, so that requests fail over
and the breaker opens and closes; clients that leave at once or in the middle of a stream. Every answer is checked.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.__main__ import end_on_termination, program, say
from bench.contestants import Started, sidestep, started
from bench.ground import Asking, CouldNotMeasure, Ground, Totals, parse_totals, prepared
from bench.machine import describe, raise_descriptor_limit
from bench.plot import Line, Panel, picture
from bench.selfcheck import check
from bench.verdict import MOST_LAG_MS, Finding, Idle, Sample, judge, plain, table

MIX = "plain:78,stream:10,failing:4,closing:1,cut:2,leave:3,leave_stream:2"
MIXED: dict[str, Any] = {"mix": MIX, "events": 10, "every": 0}
PROBE_MS = 50
"""Milliseconds between two questions for /livez."""
WARM_UP_REQUESTS = 5_000
REST = 40.0
"""Seconds from the warm-up to the baseline: connections to providers are kept for up to 30 s."""
SHORTEST = 0.5
"""Seconds that a sample must stand for; the last one may be shorter."""
SETTLE = 90.0
"""Seconds after the last request within which everything must be back at the baseline."""

POLICY = """\
version: 1
strategy: primary_only
retry: {backoff: {base: 1ms, max: 5ms}}
breaker: {failures: 3, open_for: 1s, max_open_for: 2s}
recovery: {ramp: 1s}
"""
"""What is rare in production is frequent here."""


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2_000_000, help="how many in all (2000000)")
    parser.add_argument("--connections", type=int, default=16, help="clients at the same time (16)")
    parser.add_argument(
        "--most", type=float, default=3600.0, metavar="SECONDS", help="end after that long at the latest (3600)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("bench/results/soak.json"), metavar="FILE", help="the picture goes beside it"
    )
    return parser.parse_args()


def main() -> int:
    """Soak, judge, tell."""
    wanted = arguments()
    end_on_termination()
    raise_descriptor_limit()
    machine, at = describe(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, prepared(Path(folder)) as ground:
        os.sched_setaffinity(0, ground.cores.load)
        check(ground)
        policies = ground.folder / "policies"
        policies.mkdir()
        (policies / "default.yaml").write_text(POLICY)
        with started(ground, sidestep(ground, first=ground.moody, policies=policies)) as ready:
            before = baseline(ground, ready, wanted.connections)
            samples, totals = soak(ground, ready, wanted)
            counts = {name: ready.metric(name) for name in COUNTS}
            after = settled(ready, before)
    findings = judge(samples, before, after, totals.probe_ms["p99"], totals.wrong)
    told = {
        "machine": machine,
        "command": shlex.join(["python", "-m", "bench.soak", *sys.argv[1:]]),
        "at": at,
        "mix": MIX,
        "findings": plain(findings),
        "idle": {"before": asdict(before), "after": asdict(after)},
        "counts": counts,
        "totals": asdict(totals),
        "samples": [asdict(sample) for sample in samples],
    }
    write(wanted.json, told, findings, samples)
    print(markdown(told, findings))
    return 1 if totals.wrong else 0


COUNTS = (
    "sidestep_requests_total",
    "sidestep_attempts_total",
    "sidestep_failovers_total",
    "sidestep_retries_total",
    "sidestep_spans_dropped_total",
    "sidestep_log_lines_dropped_total",
)


def baseline(ground: Ground, ready: Started, connections: int) -> Idle:
    """Have it do everything once, let it rest, and see what it holds then."""
    ground.ask(ready.contestant.port, connections=connections, requests=WARM_UP_REQUESTS, **MIXED)
    time.sleep(REST)
    return idle(ready)


def soak(ground: Ground, ready: Started, wanted: argparse.Namespace) -> tuple[list[Sample], Totals]:
    """Ask it all, and take a sample whenever the load tells of another second."""
    port, how_much = ready.contestant.port, {"requests": wanted.requests, "seconds": wanted.most}
    command = ground.load(port=port, connections=wanted.connections, probe=PROBE_MS, progress=1, **how_much, **MIXED)
    samples: list[Sample] = []
    with Asking(command, ground.cores.load) as asking:
        for line in lines(asking):
            told = json.loads(line)
            if "second" not in told:
                return samples, parse_totals(line)
            if samples and told["second"] - samples[-1].second < SHORTEST:
                continue
            samples.append(sample(ready, told, samples[-1] if samples else None))
            if len(samples) % 10 == 0:
                say(f"{samples[-1].answered:,} of {wanted.requests:,} requests, {samples[-1].rss / 1e6:.1f} MB")
    raise CouldNotMeasure("the load ended without a word")


def lines(asking: Asking) -> Iterator[str]:
    """What the load prints, as it comes. It ends by itself when nobody answers it any more."""
    if asking.process.stdout is None:
        raise CouldNotMeasure("the load has no output")
    yield from asking.process.stdout


def sample(ready: Started, told: dict[str, Any], last: Sample | None) -> Sample:
    """One second, as the load and the process table tell it."""
    program, lag = ready.running, told["probe_ms"]
    passed = told["second"] - (last.second if last else 0.0)
    return Sample(
        second=told["second"],
        answered=told["answered"],
        rate=told["requests"] / passed if passed else 0.0,
        rss=program.rss(),
        descriptors=program.descriptors(),
        threads=program.threads(),
        lag_p50_ms=lag["p50"],
        lag_p99_ms=lag["p99"],
    )


def idle(ready: Started) -> Idle:
    """What it holds now, when nobody asks anything."""
    program = ready.running
    in_flight = int(ready.metric("sidestep_requests_in_flight") + ready.metric("sidestep_provider_in_flight"))
    return Idle(program.rss(), program.descriptors(), program.threads(), in_flight)


def settled(ready: Started, before: Idle, now: Callable[[], float] = time.monotonic) -> Idle:
    """Wait until it holds no more than before, or long enough; what it holds then."""
    until = now() + SETTLE
    while True:
        after = idle(ready)
        if now() > until or (after.descriptors <= before.descriptors and after.in_flight <= before.in_flight):
            return after
        time.sleep(1)


def write(file: Path, told: dict[str, Any], findings: list[Finding], samples: list[Sample]) -> None:
    """JSON, table and picture, side by side."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1) + "\n")
    file.with_suffix(".md").write_text(markdown(told, findings))
    file.with_suffix(".svg").write_text(curves(samples, told["machine"]))


def markdown(told: dict[str, Any], findings: list[Finding]) -> str:
    """For people."""
    machine = ", ".join(f"{name} {value}" for name, value in told["machine"].items())
    totals = told["totals"]
    asked = totals["answered"] + totals["left"]
    return (
        f"Measured {told['at']} with `{told['command']}` on: {machine}.\n\n"
        f"{asked:,} requests ({told['mix']}) in {totals['seconds']:,.0f} s, {asked / totals['seconds']:,.0f} a second, "
        f"{totals['events']:,} events, {told['counts']['sidestep_failovers_total']:,.0f} failovers, "
        f"{totals['left']:,} clients that left.\n\n{table(findings)}\n"
    )


def curves(samples: list[Sample], machine: dict[str, str]) -> str:
    """The picture."""
    panels = [
        Panel("resident memory, MB", [Line("", [each.rss / 1e6 for each in samples])]),
        Panel("requests a second", [Line("", [each.rate for each in samples])]),
        Panel(
            "event-loop lag: answer to GET /livez, ms",
            [Line("p99", [each.lag_p99_ms for each in samples]), Line("p50", [each.lag_p50_ms for each in samples])],
            limit=MOST_LAG_MS,
        ),
        Panel("descriptors", [Line("", [float(each.descriptors) for each in samples])]),
        Panel("threads", [Line("", [float(each.threads) for each in samples])]),
    ]
    title = f"sidestep {machine['sidestep']}: {samples[-1].answered:,} mixed requests to one worker on one core"
    return picture(title, [each.second for each in samples], panels)


if __name__ == "__main__":
    program(main)
