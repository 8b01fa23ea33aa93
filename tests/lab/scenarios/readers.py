"""Clients that ask for a stream and do not read it."""

import asyncio
import contextlib

from lab.gateway import LIMITS
from lab.lazy import LazyClient
from lab.own import calm, own, setting
from lab.scenario import scenario, scenarios_in
from lab.stage import Stage

SLOW = "A client dawdles"
PLAN = setting(policy={"timeouts": {"connect": "5s", "first_output": "30s", "idle": "30s", "total": "60s"}})
KIB = 200
"""Memory that each of them may cost."""
WRITE_TIME = 1.0
PATIENCE = 20
"""Seconds for all of them to get through to the provider, on a busy machine."""


async def _asked(stage: Stage, stack: contextlib.ExitStack, count: int) -> list[LazyClient]:
    """So many of them at it, each in a stream that has no end."""
    readers = [stack.enter_context(LazyClient(stage.gateway.port)) for _ in range(count)]
    for number, reader in enumerate(readers):
        await reader.ask(stage.gateway.chat(f"lazy-{number}", stream=True))
    await stage.primary.until(lambda: len(stage.primary.requests) >= count, within=PATIENCE)
    return readers


@scenario(
    SLOW,
    "held back all the way to the provider: 200 KiB of memory each, others are unaffected, nothing is left of them",
    fault="endless_stream",
    alone=True,
)
async def readers_that_do_not_read(stage: Stage) -> None:
    count = stage.requests * 10
    aside = {"x-sidestep-provider": stage.names[1]}
    room = {"limits": LIMITS | {"in_flight": 2 * count}}
    with own(stage, room, plan=PLAN) as program:
        for sent in await stage.storm(50, headers=aside):
            stage.expect(sent.answered, "not answered before")
        before, open_before = program.memory(), program.descriptors()
        with contextlib.ExitStack() as stack:
            await _asked(stage, stack, count)
            await asyncio.sleep(2)
            each = (program.memory() - before) / count / 1024
            good = await stage.storm(headers=aside)
            stage.expect(all(sent.answered for sent in good), "good traffic suffered")
            taken = sum(connection.bytes_out for connection in stage.primary.connections) / count / 2**20
        stage.see(f"{count} readers: {each:.0f} KiB each, {taken:.1f} MiB taken from the provider for each")
        stage.figures["each"] = each
        stage.expect(each <= KIB, f"{each:.0f} KiB of memory each")

        async def gone() -> bool:
            return program.descriptors() <= open_before + 4  # a connection to each provider, kept alive

        await stage.eventually(gone, "descriptors are left of them", within=10)
        calm(stage, program)


@scenario(
    SLOW,
    "cut off after `write_time` without progress, and the provider's call with them; others are unaffected",
    fault="endless_stream",
    alone=True,
    fast=True,
)
async def readers_that_never_read_again(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    limits = {"limits": LIMITS | {"write_time": f"{WRITE_TIME:g}s"}}
    with own(stage, limits, plan=PLAN) as program, contextlib.ExitStack() as stack:
        begun = loop.time()
        readers = await _asked(stage, stack, stage.requests)
        calls = [stage.primary.connections[asked.connection] for asked in stage.primary.requests]
        good = asyncio.ensure_future(stage.storm(headers={"x-sidestep-provider": stage.names[1]}))
        await stage.primary.until(lambda: all(call.client_left is not None for call in calls), within=PATIENCE)
        last = max(call.client_left or 0.0 for call in calls) - begun
        stage.expect(all(sent.answered for sent in await good), "good traffic suffered")
        ended = await asyncio.gather(*(reader.cut(within=5) for reader in readers))
        stage.expect(all(ended), f"{ended.count(False)} connections were kept")
        stage.expect(not stage.history.timed or last <= WRITE_TIME + 2, f"the last call was closed after {last:.1f} s")
        stage.see(f"{len(readers)} cut off, the last call closed after {last:.1f} s")
        calm(stage, program)


SCENARIOS = scenarios_in(globals())
