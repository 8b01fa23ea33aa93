"""The machine: names that resolve slowly, a process that is stopped, a wall clock that jumps, memory that runs out."""

import asyncio
import signal
import time
from email.utils import formatdate

from lab.configuration import write
from lab.fault import status
from lab.gateway import LIMITS, Sidestep, lines_of
from lab.machine_shims import SLOW, ControlGroup, slow_names
from lab.own import QUIET, calm, end, own, setting
from lab.playing import configuration
from lab.scenario import scenario, scenarios_in
from lab.stage import Stage
from lab.wall_clock import WallClock

MACHINE = "The machine"
PRIMARY, SECONDARY = 0, 1

# Names

LOOKUP = 8
"""Seconds that a slow name takes."""


async def _ask_while_names_resolve_slowly(stage: Stage, *arguments: str) -> None:
    plan = setting(
        primary={"base_url": f"https://provider.{SLOW}:{stage.primary.port}/v1"},
        secondary={"base_url": f"http://localhost:{stage.secondary.port}/v1"},
        policy={"timeouts": {"connect": "300ms", "first_output": "4s", "total": "6s"}},
    )
    loop = asyncio.get_running_loop()
    shim = slow_names(stage.folder, LOOKUP)
    with own(stage, plan=plan, environment=shim, arguments=arguments) as program:
        for sent in await stage.storm(workers=8):
            stage.expect(sent.answered and sent.text.startswith("secondary:"), f"{sent.nonce}: {sent.status}")
        stage.expect(await stage.breaker() != "closed", "its breaker is closed still")

        async def nobody_waits() -> bool:  # every worker has to find out for itself
            late = await stage.storm(10, workers=1)
            return not stage.history.timed or max(sent.took for sent in late) < 0.1

        await stage.eventually(nobody_waits, "somebody waits for the name still", within=4)
        documents, policy = configuration(plan, stage, QUIET)
        documents["providers"]["newcomer"] = documents["providers"][stage.names[SECONDARY]]
        documents["routes"][0]["providers"].append("newcomer")
        write(program.folder, documents, policy)

        async def seen() -> bool:
            return 'provider="newcomer"' in (await program.metrics()).text

        await stage.eventually(seen, "a reload waits for the name", within=4)
        program.child.terminate()
        begun = loop.time()
        stage.expect(await end(program, LOOKUP + 10) == 0, "it did not end with 0")
        took = loop.time() - begun
        stage.expect(took < 3.0, f"it took {took:.1f} s to end: it waits for the name")
        calm(stage, program)
    stage.see(f"{len(stage.history.sent)} answered, ended after {took:.1f} s")


BOUNDED = "`connect` bounds the look-up; the secondary, by name too, answers; reloads are seen, and it ends in time"


@scenario(MACHINE, BOUNDED, needs="cc", alone=True, fast=True)
async def names_resolve_slowly(stage: Stage) -> None:
    await _ask_while_names_resolve_slowly(stage)


@scenario(MACHINE, BOUNDED, needs="cc", alone=True)
async def names_resolve_slowly_for_two_workers(stage: Stage) -> None:
    await _ask_while_names_resolve_slowly(stage, "--workers", "2")


# Our own stalls


@scenario(
    MACHINE,
    "no request fails; no breaker opens, no provider is blamed for our own standing still",
    fault="latency:0.15",
    second="latency:0.15",
    alone=True,
    fast=True,
)
async def stopped_for_a_second_again_and_again(stage: Stage) -> None:
    plan = setting(primary={"timeout": "400ms"}, secondary={"timeout": "400ms"}, policy={"breaker": {"failures": 3}})
    with own(stage, plan=plan) as program:
        load = asyncio.ensure_future(stage.storm(40, workers=6, pause=0.05))
        stops = 0
        while not load.done():
            await asyncio.sleep(0.3)
            program.child.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.0)
            program.child.send_signal(signal.SIGCONT)
            stops += 1
            states = [await stage.breaker(place) for place in (PRIMARY, SECONDARY)]
            stage.expect(states == ["closed", "closed"], f"after {stops} stops the breakers are {states}")
        sent = await load
        stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} requests failed")
        stage.see(f"{stops} stops of a second, {sum(each.answered for each in sent)} answered, breakers closed")
        calm(stage, program)


# The wall clock


@scenario(
    MACHINE,
    "cool-downs, breakers, streams and the cache keep their time: timers are monotonic",
    policy={"breaker": {"failures": 3, "open_for": "1s", "max_open_for": "1s"}, "cache": {"ttl": "1m"}},
    needs="faketime",
    alone=True,
    fast=True,
)
async def the_wall_clock_jumps_by_an_hour(stage: Stage) -> None:
    clock = WallClock(stage.folder)
    plan = setting(policy=the_wall_clock_jumps_by_an_hour.policy)
    with own(stage, plan=plan, environment=clock.environment) as program:
        for hours in (1, -1):
            clock.jump(0)
            stage.primary.interval = 0.1
            stream = asyncio.ensure_future(stage.ask(f"stream{hours:+}", stream=True))
            kept = await stage.ask(f"kept{hours:+}")
            await asyncio.sleep(0.2)
            clock.jump(hours * 3600)
            stage.expect((await stream).answered, f"{hours:+} h: a stream under way broke")
            again = await stage.ask(kept.nonce)
            stage.expect(again.headers.get("x-sidestep-cache") == "hit", f"{hours:+} h: the cache forgot its answer")
            stage.primary.interval = 0.0
            await _cools_down(stage, f"{hours:+} h, seconds", lambda: {"retry_after": "2"}, clock, 0, hours)
            now = hours * 3600
            date = {"retry_after": formatdate(time.time() + now + 3, usegmt=True)}
            await _cools_down(stage, f"{hours:+} h, a date", lambda date=date: date, clock, hours, hours)
            await _opens_and_closes(stage, clock, hours)
        stage.expect(all(each.answered for each in stage.history.sent), "requests suffered")
        _durations_are_true(stage, program)
        calm(stage, program)


async def _cools_down(stage: Stage, name: str, headers, clock: WallClock, before: int, after: int) -> None:
    """A 429 at one time, asked on at another: not called again before its time (2 s) and soon after it."""
    clock.jump(before * 3600)
    stage.primary.fault = status(429, **headers())
    count = len(stage.primary.requests)
    stage.expect((await stage.ask()).answered, f"{name}: the 429 was seen")
    refused = stage.primary.requests[-1].at
    stage.expect(len(stage.primary.requests) == count + 1, f"{name}: {len(stage.primary.requests) - count} calls")
    stage.primary.fault = "ok"
    clock.jump(after * 3600)

    async def back() -> bool:
        return (await stage.ask()).text.startswith("primary:")

    if await stage.eventually(back, f"{name}: not called again", within=6):
        waited = stage.primary.requests[count + 1].at - refused
        stage.expect(waited >= 1.9, f"{name}: called again after {waited:.2f} s")
        stage.see(f"{name}: {waited:.1f} s")


async def _opens_and_closes(stage: Stage, clock: WallClock, hours: int) -> None:
    """A breaker that opened in one hour closes after its second in another."""
    clock.jump(0)
    stage.primary.fault = "status:500"
    for _ in range(4):
        await stage.ask()
    stage.expect(await stage.breaker() == "open", f"{hours:+} h: the breaker did not open")
    clock.jump(hours * 3600)
    stage.primary.fault = "ok"

    async def closed() -> bool:
        await stage.ask()
        return await stage.breaker() == "closed"

    await stage.eventually(closed, f"{hours:+} h: the breaker stayed open", within=5)


def _durations_are_true(stage: Stage, program: Sidestep) -> None:
    """No line of the log tells of a request that took an hour, or less than nothing."""
    told = [line["ms"] for line in lines_of(program.stdout) if line["message"] == "request"]
    stage.expect(told and all(0 <= each < 60_000 for each in told), f"requests took {min(told)} to {max(told)} ms")


# Memory


@scenario(
    MACHINE,
    "what is new is shed with 503 and Retry-After at once, streams under way go on; it recovers by itself",
    alone=True,
    fast=True,
)
async def memory_runs_out(stage: Stage) -> None:
    group = ControlGroup(stage.folder)
    with own(stage, environment=group.environment) as program:
        stage.expect(all(sent.answered for sent in await stage.storm(10)), "not answered before")
        stage.primary.interval = 0.8
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(5)]
        await stage.primary.until(lambda: sum(asked.get("stream", False) for asked in stage.primary.requests) >= 10)
        group.use(0.99)

        async def full() -> bool:
            return (await stage.ask()).status == 503

        await stage.eventually(full, "nothing is shed", within=5)
        calls = len(stage.primary.requests)
        shed = await stage.storm()
        stage.expect(all(sent.status == 503 for sent in shed), f"{sorted({str(sent.status) for sent in shed})}")
        stage.expect(all(sent.headers.get("retry-after") for sent in shed), "no Retry-After")
        slowest = sorted(sent.took for sent in shed)[int(len(shed) * 0.95)] * 1000
        stage.expect(not stage.history.timed or slowest <= 10, f"a 503 took {slowest:.0f} ms")
        stage.expect(len(stage.primary.requests) == calls, "a provider was asked")
        alive = [(await program.operator(path)).status for path in ("/livez", "/metrics")]
        stage.expect(alive == [200, 200], f"the operator got {alive}")
        stage.expect(all(sent.answered for sent in await asyncio.gather(*streams)), "streams under way were cut")
        stage.primary.interval = 0.0
        group.use(0.5)

        async def recovered() -> bool:
            return (await stage.ask()).answered

        await stage.eventually(recovered, "it did not recover", within=5)
        stage.expect(all(sent.answered for sent in await stage.storm(10)), "not answered after")
        calm(stage, program)
        stage.see(f"{len(shed)} times 503, 95 of 100 within {slowest:.1f} ms; 5 streams finished; recovered")


# Too many at once

ROOM = 10


@scenario(
    MACHINE,
    "those beyond `in_flight` are told 503 and Retry-After at once; the others are answered, and so is the next",
    fault="latency:1",
    alone=True,
    fast=True,
)
async def more_at_once_than_it_takes(stage: Stage) -> None:
    with own(stage, {"limits": LIMITS | {"in_flight": ROOM}}) as program:
        sent = await asyncio.gather(*(stage.ask() for _ in range(ROOM * 5)))
        shed = [each for each in sent if each.status == 503]
        stage.expect(
            sum(each.answered for each in sent) == ROOM, f"{sum(each.answered for each in sent)} were answered"
        )
        stage.expect(len(shed) == ROOM * 4, f"{len(shed)} were told 503")
        stage.expect(all(each.headers.get("retry-after") for each in shed), "no Retry-After")
        stage.expect(len(stage.primary.requests) == ROOM, f"{len(stage.primary.requests)} calls")
        slowest = max(each.took for each in shed) if shed else 0.0
        stage.expect(not stage.history.timed or slowest <= 0.25, f"a 503 took {slowest * 1000:.0f} ms")
        stage.expect((await stage.ask()).answered, "the next one was not answered")
        stage.see(f"{len(shed)} of {len(sent)} shed within {slowest * 1000:.0f} ms")
        calm(stage, program)


SCENARIOS = scenarios_in(globals())
