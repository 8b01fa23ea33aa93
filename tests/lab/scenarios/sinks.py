"""Where telemetry goes: collectors that are no help, a pipe that nobody reads, a disk that is full."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from lab import otlp
from lab.client import RawClient
from lab.comparison import compare
from lab.deaf_collectors import deaf_collector
from lab.gateway import Sidestep, lines_of
from lab.own import end, own
from lab.ports import unused_port
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

SINKS = "Telemetry has nowhere to go"
COST = 1.0
"""Milliseconds that a request may take longer, at the 99th percentile."""
DROPPED = {"spans": "sidestep_spans_dropped_total", "lines": "sidestep_log_lines_dropped_total"}


async def _compared(stage: Stage, calm: Sidestep, troubled: Sidestep) -> None:
    """Ask two programs in turns; note what the trouble costs."""
    async with RawClient(calm.port) as one, RawClient(troubled.port) as other:
        await compare(
            stage,
            lambda stream: stage.ask(stream=stream, client=one),
            lambda stream: stage.ask(stream=stream, client=other),
            limit=COST,
        )


async def _dropped(stage: Stage, program: Sidestep, what: str, within: float = 8.0) -> float:
    """Expect that something was dropped and counted; how much."""

    async def counted() -> bool:
        return (await program.metrics()).sum(DROPPED[what]) > 0

    await stage.eventually(counted, f"no {what} were counted as dropped", within=within)
    return (await program.metrics()).sum(DROPPED[what])


def collecting(name: str, behaviour: str, *, protocol: str = "http", fast: bool = False) -> Scenario:
    """A collector that is no help."""

    async def play(stage: Stage) -> None:
        async with deaf_collector(behaviour) as port:
            traces = {"endpoint": f"http://127.0.0.1:{port}", "protocol": protocol}
            soon = {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1"}
            with (
                otlp.http_receiver() as good,
                own(stage, telemetry={"traces": {"endpoint": good.endpoint, "protocol": "http"}}) as calm,
                own(stage, telemetry={"traces": traces}, environment=soon) as program,
            ):
                await _compared(stage, calm, program)
                lost = await _dropped(stage, program, "spans")
                stage.see(f"{lost:.0f} spans dropped")
                stage.expect("Traceback" not in program.stderr, f"a traceback: {program.stderr[-300:]}")
                program.child.terminate()
                stage.expect(await end(program, 10) == 0, "it did not end within 10 s")

    return Scenario(
        name=name,
        chapter=SINKS,
        expected="costs nothing but spans, which are counted: 1 ms more at p99 than with a good one; it ends in time",
        play=play,
        alone=True,
        fast=fast,
    )


COLLECTORS = [
    collecting("the collector refuses connections", "refuses"),
    collecting("the collector hangs", "hangs", fast=True),
    collecting("the collector hangs, over gRPC", "hangs", protocol="grpc"),
    collecting("the collector reads a byte a second", "sips"),
    collecting("the collector answers after half a minute", "late"),
    collecting("the collector answers 503", "503"),
]


# Standard output


@contextmanager
def _writing_to(stage: Stage, descriptor: int) -> Iterator[Sidestep]:
    """A program whose log goes there, so that its ports must be given."""
    ports = (f"127.0.0.1:{unused_port()}", f"127.0.0.1:{unused_port()}")
    with own(stage, stdout=descriptor, arguments=("--listen", ports[0], "--admin", ports[1])) as program:
        yield program


@scenario(SINKS, "lines wait, then they are dropped and counted; requests are answered", alone=True, fast=True)
async def nobody_reads_stdout(stage: Stage) -> None:
    taken, given = os.pipe()
    try:
        with own(stage) as calm, _writing_to(stage, given) as program:
            stage.gateway = program
            sent = await stage.storm(max(300, stage.requests * 3))  # a pipe holds 64 KiB: about 150 lines
            stage.expect(all(each.answered for each in sent), "requests suffered")
            await _compared(stage, calm, program)
    finally:
        os.close(taken)
        os.close(given)


@scenario(SINKS, "lines are dropped and counted, nothing else", alone=True, fast=True)
async def stdout_is_a_full_disk(stage: Stage) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with own(stage) as calm, _writing_to(stage, full) as program:
            await _compared(stage, calm, program)
            stage.see(f"{await _dropped(stage, program, 'lines'):.0f} lines dropped")
            stage.expect(not program.stderr, f"stderr: {program.stderr[-300:]}")
    finally:
        os.close(full)


@scenario(SINKS, "lines are dropped and counted; when there is room again, they are whole again", alone=True, fast=True)
async def the_disk_fills_up_in_the_midst_of_a_line(stage: Stage) -> None:
    with own(stage) as program:
        await stage.storm()
        await asyncio.sleep(0.2)
        soft, hard = resource.prlimit(program.child.pid, resource.RLIMIT_FSIZE)
        room = (program.folder / "stdout").stat().st_size + 100 + stage.random.randrange(100)  # less than a line more
        resource.prlimit(program.child.pid, resource.RLIMIT_FSIZE, (room, hard))
        sent = await stage.storm()
        stage.expect(all(each.answered for each in sent), "requests suffered")
        lost = await _dropped(stage, program, "lines")
        stage.see(f"{lost:.0f} lines dropped")
        resource.prlimit(program.child.pid, resource.RLIMIT_FSIZE, (soft, hard))
        written = sum(map(_is_whole, program.stdout.splitlines()))
        await stage.storm(10)

        async def told() -> bool:
            return sum(map(_is_whole, program.stdout.splitlines())) >= written + 10

        await stage.eventually(told, "not every line is whole")
        torn = [line for line in program.stdout.splitlines() if not _is_whole(line)]
        stage.expect(len(torn) <= 1, f"{len(torn)} lines are no JSON")
        stage.expect(not program.stderr, f"stderr: {program.stderr[-300:]}")


def _is_whole(line: str) -> bool:
    try:
        lines_of(f"{line}\n")
    except ValueError:
        return False
    return True


@scenario(SINKS, "it serves; nobody can manage it, and the log says why and what to do", alone=True, fast=True)
async def no_place_for_the_operator_s_token(stage: Stage) -> None:
    stage.history.uncounted = True
    admin = {"admin": {"listen": "127.0.0.1:0"}}
    for name, folder in {
        "no folder can be made": "/proc/sidestep",
        "a file is in its way": "/dev/null/sidestep",
    }.items():
        with own(stage, admin, arguments=("--state-dir", folder)) as program:
            stage.expect(all(sent.answered for sent in await stage.storm()), f"{name}: requests suffered")
            said = [line for line in lines_of(program.stdout) if "no admin token" in line["message"]]
            stage.expect(said and "--state-dir" in said[0]["reason"], f"{name}: the log does not say why")
            refused = (await program.operator("/admin/status")).status
            stage.expect(refused in (401, 403), f"{name}: the operator's door stands open: {refused}")
            stage.see(f"{name}: served, {refused} for the operator")


SCENARIOS = [*COLLECTORS, *scenarios_in(globals())]
