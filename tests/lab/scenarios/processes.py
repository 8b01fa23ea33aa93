"""The process: told to end, told twice, killed, out of descriptors."""

import asyncio
import resource

from lab.client import RawClient
from lab.gateway import SERVER
from lab.http1 import IncompleteMessage
from lab.own import PLAIN, QUIET, calm, end, own, setting
from lab.playing import configuration
from lab.scenario import scenario, scenarios_in
from lab.stage import Stage

LIFE = "The process"


@scenario(LIFE, "not ready at once; running streams finish; exit status 0", alone=True, fast=True)
async def SIGTERM_with_streams(stage: Stage) -> None:  # noqa: N802  its name in the table
    stage.primary.interval = 0.15
    with own(stage, {"drain": {"delay": "200ms", "timeout": "20s"}}) as program:
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(20)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 20, within=10)
        program.child.terminate()

        async def unready() -> bool:
            return (await program.operator("/readyz")).status == 503

        await stage.eventually(unready, "still ready")
        sent = await asyncio.gather(*streams)
        stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} of 20 streams were cut")
        stage.expect(await end(program, 10) == 0, "it did not end with 0")
        calm(stage, program)
    stage.see("20 streams finished, exit status 0" if not stage.broken else "cut")


@scenario(LIFE, "every stream gets an error frame, never a [DONE]; exit status 0", fault="stall:2", alone=True)
async def SIGTERM_and_streams_that_do_not_end(stage: Stage) -> None:  # noqa: N802
    stage.history.deadline = 30
    with own(stage, {"drain": {"delay": "0s", "timeout": "200ms"}}) as program:
        write_slowly = {"timeouts": {"connect": "1s", "idle": "30s", "total": "60s"}}
        await program.configure(
            configuration(PLAIN, stage, QUIET)[0] | {"server": SERVER | {"drain": {"delay": "0s", "timeout": "200ms"}}},
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
        stage.expect(await end(program, 10) == 0, "it did not end with 0")
        stage.see(f"{framed} of 5 streams got their error frame")
    stage.history.sent.clear()  # judged above; a stream that was cut is I1's business only while it serves


@scenario(LIFE, "ready within 1.5 s, nothing stale left behind", alone=True)
async def SIGKILL_and_restart(stage: Stage) -> None:  # noqa: N802
    loop = asyncio.get_running_loop()
    with own(stage) as program:
        stage.expect((await stage.ask()).answered, "not answered before")
        program.child.kill()
        program.child.wait()
    begun = loop.time()
    with own(stage) as program:
        took = loop.time() - begun
        stage.expect((await stage.ask()).answered, "not answered after")
        stage.expect(not stage.history.timed or took <= 1.5, f"ready after {took:.2f} s")
        calm(stage, program)
    stage.figures["ready"] = took * 1000
    stage.see(f"ready after {took:.2f} s")


@scenario(LIFE, "sheds what is new, recovers by itself, no traceback", alone=True)
async def descriptors_run_out(stage: Stage) -> None:
    with own(stage) as program:
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


@scenario(LIFE, "a second signal ends it within a second, exit status 0", fault="stall:2", alone=True)
async def SIGTERM_twice(stage: Stage) -> None:  # noqa: N802
    plan = setting(policy={"timeouts": {"idle": "60s", "total": "60s"}})
    loop = asyncio.get_running_loop()
    with own(stage, {"drain": {"delay": "0s", "timeout": "60s"}}, plan=plan) as program:
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(5)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 5, within=10)
        await asyncio.sleep(0.2)
        program.child.terminate()
        await asyncio.sleep(0.5)
        stage.expect(program.alive, "it did not wait for its streams")
        again = loop.time()
        program.child.terminate()
        stage.expect(await end(program, 10) == 0, "it did not end with 0")
        took = loop.time() - again
        stage.expect(took <= (1.0 if stage.history.timed else 5.0), f"it ended after {took:.2f} s")
        sent = await asyncio.gather(*streams)
        framed = sum(each.error is not None and not each.done for each in sent)
        stage.expect(framed == 5, f"only {framed} of 5 were told why")
        stage.see(f"ended after {took:.2f} s, {framed} of 5 streams got their error frame")
    stage.history.sent.clear()  # judged above, as in the scenario before


SCENARIOS = [each for each in scenarios_in(globals()) if each.name]
