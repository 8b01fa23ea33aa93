"""The process: ended, killed, out of descriptors, beside collectors that are no help and pipes that nobody reads."""

import asyncio
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.client import RawClient
from lab.gateway import SERVER, Sidestep, sidestep
from lab.http1 import IncompleteMessage
from lab.playing import configuration
from lab.ports import unused_port
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

LIFE = "The process"
CALM = {"timeout": "4s"}


@contextmanager
def _own(stage: Stage, changes: dict[str, Any] | None = None, **more: Any) -> Iterator[Sidestep]:
    """A program for this scenario alone, over the stage's upstreams; `changes` of its server section."""
    stage.history.uncounted = True
    documents, policy = configuration(_PLAIN, stage, (changes or {}).pop("telemetry", {"traces": {"exporter": "none"}}))
    documents["server"] = SERVER | (changes or {})
    with tempfile.TemporaryDirectory() as folder, sidestep(Path(folder), documents, policy, **more) as program:
        stage.gateway = program
        yield program


async def _nothing(stage: Stage) -> None:
    """A scenario that is only a configuration."""


_PLAIN = Scenario(name="", chapter="", expected="", play=_nothing, primary=CALM, policy={"timeouts": {"total": "30s"}})


def _calm(stage: Stage, program: Sidestep) -> None:
    stage.expect("Traceback" not in program.stdout + program.stderr, f"a traceback: {program.stderr[-300:]}")
    stage.expect(not program.stderr, f"stderr: {program.stderr[-300:]}")


async def _end(program: Sidestep, within: float) -> int | None:
    """Wait for the end of the process; None when it does not come."""
    for _ in range(int(within / 0.02)):
        if (status := program.child.poll()) is not None:
            return status
        await asyncio.sleep(0.02)
    return None


@scenario(LIFE, "not ready at once; running streams finish; exit status 0", alone=True, fast=True)
async def SIGTERM_with_streams(stage: Stage) -> None:  # noqa: N802  its name in the table
    stage.primary.interval = 0.15
    with _own(stage, {"drain": {"delay": "200ms", "timeout": "20s"}}) as program:
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(20)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 20, within=10)
        program.child.terminate()

        async def unready() -> bool:
            return (await program.operator("/readyz")).status == 503

        await stage.eventually(unready, "still ready")
        sent = await asyncio.gather(*streams)
        stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} of 20 streams were cut")
        stage.expect(await _end(program, 10) == 0, "it did not end with 0")
        _calm(stage, program)
    stage.see("20 streams finished, exit status 0" if not stage.broken else "cut")


@scenario(LIFE, "every stream gets an error frame, never a [DONE]; exit status 0", fault="stall:2", alone=True)
async def SIGTERM_and_streams_that_do_not_end(stage: Stage) -> None:  # noqa: N802
    stage.history.deadline = 30
    with _own(stage, {"drain": {"delay": "0s", "timeout": "200ms"}}) as program:
        write_slowly = {"timeouts": {"connect": "1s", "idle": "30s", "total": "60s"}}
        await program.configure(
            configuration(_PLAIN, stage, {"traces": {"exporter": "none"}})[0]
            | {"server": SERVER | {"drain": {"delay": "0s", "timeout": "200ms"}}},
            write_slowly,
        )
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(5)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 5, within=10)
        await asyncio.sleep(0.2)
        program.child.terminate()
        sent = await asyncio.gather(*streams)
        stage.expect(not any(each.done for each in sent), "a cut stream ended with [DONE]")
        framed = sum(each.error is not None for each in sent)
        stage.expect(framed == 5, f"only {framed} of 5 were told why")
        stage.expect(await _end(program, 10) == 0, "it did not end with 0")
        stage.see(f"{framed} of 5 streams got their error frame")
    stage.history.sent.clear()  # judged above; a stream that was cut is I1's business only while it serves


@scenario(LIFE, "ready within 1.5 s, nothing stale left behind", alone=True)
async def SIGKILL_and_restart(stage: Stage) -> None:  # noqa: N802
    loop = asyncio.get_running_loop()
    with _own(stage) as program:
        stage.expect((await stage.ask()).answered, "not answered before")
        program.child.kill()
        program.child.wait()
    begun = loop.time()
    with _own(stage) as program:
        took = loop.time() - begun
        stage.expect((await stage.ask()).answered, "not answered after")
        stage.expect(not stage.history.timed or took <= 1.5, f"ready after {took:.2f} s")
        _calm(stage, program)
    stage.figures["ready"] = took * 1000
    stage.see(f"ready after {took:.2f} s")


@scenario(LIFE, "sheds what is new, recovers by itself, no traceback", alone=True)
async def descriptors_run_out(stage: Stage) -> None:
    with _own(stage) as program:
        await stage.ask()
        resource.prlimit(program.child.pid, resource.RLIMIT_NOFILE, (program.descriptors() + 12, 4096))
        wires = [RawClient(program.port) for _ in range(40)]
        entered = [await wire.__aenter__() for wire in wires]
        await asyncio.sleep(0.3)
        for wire in entered:
            await wire.__aexit__(None, None, None)

        async def recovered() -> bool:
            try:
                async with asyncio.timeout(1):
                    async with RawClient(program.port) as client:
                        return (await client.ask(program.chat("again"))).status == 200
            except (TimeoutError, OSError, ValueError, IncompleteMessage):
                return False  # as long as it lasts, a connection may be closed without a word

        await stage.eventually(recovered, "it did not recover", within=8)
        stage.expect("Traceback" not in program.stderr, f"a traceback: {program.stderr[-300:]}")
    stage.see("answers again" if not stage.broken else "does not recover")


# Collectors and pipes


def collecting(name: str, behaviour: str) -> Scenario:
    """A collector that is no help."""

    async def play(stage: Stage) -> None:
        async with _deaf_collector(behaviour) as port:
            traces = {"endpoint": f"http://127.0.0.1:{port}", "protocol": "http"}
            with _own(stage, {"telemetry": {"traces": traces}}) as program:
                sent = await stage.storm()
                stage.expect(all(each.answered for each in sent), "requests suffered")
                stage.expect("Traceback" not in program.stderr, f"a traceback: {program.stderr[-300:]}")
                program.child.terminate()
                stage.expect(await _end(program, 10) == 0, "it did not end within 10 s")

    return Scenario(
        name=name,
        chapter=LIFE,
        expected="costs nothing but spans; it still ends in time",
        play=play,
        alone=True,
        fast=behaviour == "hangs",
    )


class _deaf_collector:  # noqa: N801  used like a function
    """A port where nobody answers: `refused`, or accepts and `hangs`."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour, self.server = behaviour, None

    async def __aenter__(self) -> int:
        if self.behaviour == "refused":
            return unused_port()
        self.server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        if self.server is not None:
            self.server.close()


COLLECTORS = [
    collecting("the collector refuses connections", "refused"),
    collecting("the collector hangs", "hangs"),
]


@scenario(LIFE, "lines are dropped and counted; requests are answered", alone=True, fast=True)
async def nobody_reads_stdout(stage: Stage) -> None:
    taken, given = os.pipe()
    try:
        ports = (f"127.0.0.1:{unused_port()}", f"127.0.0.1:{unused_port()}")
        with _own(stage, stdout=given, arguments=("--listen", ports[0], "--admin", ports[1])):
            sent = await stage.storm(max(300, stage.requests * 3))  # a pipe holds 64 KiB: about 150 lines
            stage.expect(all(each.answered for each in sent), "requests suffered")
    finally:
        os.close(taken)
        os.close(given)


SCENARIOS = [*(each for each in scenarios_in(globals()) if each.name), *COLLECTORS]
