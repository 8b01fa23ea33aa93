"""The fault laboratory: breaks everything that can break, and holds the gateway to its promises."""

import argparse
import asyncio
import contextlib
import gc
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lab import otlp, report
from lab.configuration import refusing, routes
from lab.gateway import SERVER, Gateway, sidestep
from lab.playing import POLICY, Options, Result, play
from lab.programs import absent, remedy
from lab.scenario import Scenario
from lab.scenarios.table import SCENARIOS

SWITCH = 0.0005
"""Seconds after which the collector's thread lets the clients go on: what it takes is not to count as theirs."""
PART = 20
"""Scenarios that one program sees before a new one is started."""


def main(words: list[str] | None = None) -> int:
    """Play what was asked for; 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name or chapter contains this")
    parser.add_argument("--fast", action="store_true", help="the subset that is played with the tests")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--times", type=int, default=1, help="play everything that often (1)")
    parser.add_argument("--requests", type=int, default=100, help="requests in a storm (100)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    parser.add_argument("--untimed", action="store_true", help="do not judge milliseconds: the machine is busy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="renew the table in docs/reliability.md")
    parser.add_argument("--target", metavar="URL", help="another gateway's base URL (http://host:port/v1)")
    parser.add_argument("--upstream-ports", default="9101,9102", metavar="A,B", help="the two providers that it has")
    parser.add_argument("--key", default="lab", help="the target's API key")
    parser.add_argument("--model", default="small", help="the model to ask the target for")
    arguments = parser.parse_args(words)
    wanted = [each for each in SCENARIOS if _wanted(each, arguments)]
    chosen = [each for each in wanted if not absent(each.needs)]
    if arguments.target:
        chosen.sort(key=lambda each: each.lasting)
    if arguments.list:
        print("\n".join(f"{each.chapter}: {each.name}" for each in chosen))
        return 0
    for each in wanted:
        if absent(each.needs):
            print(f"left out: {each.name}; to have it: {remedy(each.needs)}", file=sys.stderr)
    sys.setswitchinterval(SWITCH)
    gc.disable()  # between scenarios instead: a pause of ours is not to count as theirs either
    results = asyncio.run(_run(chosen, arguments))
    for write, file in ((report.as_json, arguments.json), (report.as_markdown, arguments.markdown)):
        if file is not None:
            file.write_text(write(results))
    if arguments.docs is not None:
        arguments.docs.write_text(report.renewed(arguments.docs.read_text(), results))
    return 0 if all(result.passed or not result.judged for result in results) else 1


async def _run(chosen: list[Scenario], arguments: argparse.Namespace) -> list[Result]:
    options = Options(requests=arguments.requests, seed=arguments.seed, timed=not arguments.untimed)
    if arguments.target:
        ports = tuple(int(port) for port in arguments.upstream_ports.split(","))
        options = replace(options, ports=ports)
        urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
        print(f"the target must ask {urls[0]} first and {urls[1]} when that fails\n", file=sys.stderr)
    results: list[Result] = []
    for number in range(arguments.times):
        for few in _in_parts(chosen):
            with _gateway(arguments) as gateway:
                for each in few:
                    gc.collect()
                    result = await play(each, gateway, replace(options, seed=options.seed + number))
                    report.tell(result, alone=not results)
                    results.append(result)
    judged = [result for result in results if result.judged]
    kept = sum(result.passed for result in judged)
    print(f"\n{kept} of {len(judged)} kept their promises, {sum(one.seconds for one in results):.0f} s")
    return results


def _in_parts(chosen: list[Scenario]) -> Iterator[list[Scenario]]:
    """Cut the table: every scenario leaves the names of its providers in /metrics, and a long page is slow to write."""
    for start in range(0, len(chosen), PART):
        yield chosen[start : start + PART]


@contextlib.contextmanager
def _gateway(arguments: argparse.Namespace) -> Iterator[Gateway]:
    """Start ours, or take the one that was named."""
    if arguments.target:
        yield Gateway.foreign(arguments.target, arguments.key, arguments.model)
        return
    with started() as gateway:
        yield gateway


@contextlib.contextmanager
def started() -> Iterator[Gateway]:
    """Start the real program beside a collector, with providers that are there only until the first scenario."""
    with tempfile.TemporaryDirectory() as folder, otlp.http_receiver() as collector:
        telemetry = {"traces": {"endpoint": collector.endpoint, "protocol": "http"}}
        documents = routes({"nobody": refusing()}, server=SERVER, telemetry=telemetry)
        with sidestep(Path(folder), documents, dict(POLICY), collector=collector) as gateway:
            yield gateway


def _wanted(scenario: Scenario, arguments: argparse.Namespace) -> bool:
    text = f"{scenario.chapter}: {scenario.name}".lower()
    portable = scenario.portable or not arguments.target
    return arguments.only.lower() in text and portable and (scenario.fast or not arguments.fast)


if __name__ == "__main__":
    sys.exit(main())
