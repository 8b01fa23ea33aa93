"""10,000 requests against providers that are dead in every way, one of each pair alive: no client sees an error.

Every way has a route of its own, with its own dead primary, and all share the healthy second provider and one real
process. `SIDESTEP_STORM=10000` sends that many requests in each way instead of that many in all.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest
from lab import tokens
from lab.client import Response
from lab.configuration import CHAT, provider, routes
from lab.sidecar import chat, eventually, process, running
from lab.upstream import Upstream
from lab.ways import AFTER, BEFORE, DOWN, cases, strike

EACH = int(os.environ.get("SIDESTEP_STORM", "0")) or 10_000 // len(BEFORE)
CONCURRENCY = 32
ATTEMPTS = 3
DEADLINE = 5.0
POLICY = {
    "attempts": ATTEMPTS,
    "timeouts": {"connect": "1s", "first_output": "4s", "idle": "4s", "total": f"{DEADLINE:g}s"},
    "breaker": {"open_for": "200ms", "max_open_for": "200ms"},
}
"""Breakers open for a moment only, so that the dead are asked again and again."""


@dataclass
class Tally:
    """The client's own book."""

    answers: int = 0
    longest: float = 0.0
    mistakes: list[str] = field(default_factory=list)


def pairs(dead, alive):
    """One route per way, chosen by the model's name."""
    primaries = {name: provider(each, timeout="150ms", retries=1) for name, each in dead.items()}
    document = routes(primaries | {"alive": alive})
    document["routes"] = [
        {"name": name, "match": {"path": CHAT, "model": name}, "providers": [name, "alive"]} for name in dead
    ]
    return document


def judged(body, nonce, *, stream):
    """What is wrong with an answer; nothing when it is whole, of one provider, and the answer to this question."""
    if not stream:
        text = Response(200, None, body).json()["choices"][0]["message"]["content"]
    else:
        events = Response(200, None, body).events()
        if events[-1] != "[DONE]" or events.count("[DONE]") != 1:
            return f"no proper end: {events[-1]}"
        parts = [Response(200, None, event).json() for event in events[:-1]]
        text = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
    told = tokens.read(text)
    return "" if (told.provider, told.echo) == ("alive", nonce) else f"{told} instead of {nonce}"


async def storm(url, names, each):
    """Send it; every worker goes through the ways in turn, plain and streamed."""
    tally = Tally()
    work = iter([(name, number) for number in range(each) for name in names])
    loop = asyncio.get_running_loop()

    async def worker(session):
        for name, number in work:
            nonce, stream = f"{name}/{number}", number % 2 == 1
            begun = loop.time()
            async with session.post(f"{url}/chat/completions", json=chat(nonce, model=name, stream=stream)) as answer:
                body = await answer.read()
            tally.longest = max(tally.longest, loop.time() - begun)
            mistake = judged(body, nonce, stream=stream) if answer.status == 200 else f"{answer.status} {body}"
            tally.answers += 1
            tally.mistakes += [f"{nonce}: {mistake}"] if mistake else []

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(worker(session) for _ in range(CONCURRENCY)))
    return tally


@pytest.fixture
async def dead():
    """One upstream for every way, under names that fit a configuration."""
    async with AsyncExitStack() as stack:
        upstreams = {}
        for place, case in enumerate(cases(BEFORE)):
            upstream = await stack.enter_async_context(Upstream(f"dead{place}"))
            await strike(upstream, case)
            upstreams[f"way-{place}"] = upstream
        yield upstreams


async def test_ten_thousand_requests_while_one_of_two_is_dead_in_every_way_see_no_error(dead):
    async with Upstream("alive", tokens=2) as alive, process(pairs(dead, alive), **POLICY) as program:
        before = await program.metric("process_open_fds")
        tally = await storm(program.url, list(dead), EACH)
        total = EACH * len(dead)

        # I1, I2, I4: everybody got the right answer, once, in time
        assert not tally.mistakes, tally.mistakes[:5]
        assert tally.answers == total
        assert tally.longest < DEADLINE + 0.25

        # I7: everybody counts the same
        assert await program.metric("sidestep_requests_total") == total
        assert await program.metric("sidestep_requests_total", status="2xx", outcome="ok") == total
        assert await program.metric("sidestep_attempts_total", provider="alive", **{"class": "ok"}) == total
        assert len(alive.requests) == total
        lines = [line for line in program.log if line["message"] == "request"]
        assert len(lines) == total

        # I3: no request cost more than its attempts, and every way really was met
        assert max(len(line["attempts"]) for line in lines) <= ATTEMPTS
        failed = {rung["provider"] for line in lines for rung in line["attempts"] if rung["class"] != "ok"}
        assert failed == dead.keys()
        for name, upstream in dead.items():
            met = await program.metric("sidestep_attempts_total", provider=name)
            assert len(upstream.requests) <= met

        # I6: nothing is left but idle connections
        async def calm():
            open_now = alive.open_connections + sum(each.open_connections for each in dead.values())
            return (
                await program.metric("sidestep_requests_in_flight") == 0
                and await program.metric("sidestep_provider_in_flight") == 0
                and await program.metric("process_open_fds") <= before + open_now
            )

        await eventually(calm)
        hanging = [name for name, case in zip(dead, cases(BEFORE), strict=True) if "hang" in str(case.fault)]
        assert hanging
        assert not [name for name in hanging if dead[name].open_connections]

        # I9: alive, and nothing in its log that it did not mean to say
        assert program.child.returncode is None
        assert not [line for line in program.log if "exception" in line or line["level"] == "error"]
        program.terminate()
        assert await program.ended() == 0
        assert program.stderr.read_text() == ""


async def test_after_a_storm_of_every_fault_no_task_and_no_connection_is_left():
    table = {name: fault for name, fault in (BEFORE | AFTER).items() if fault is not DOWN}
    async with Upstream("p1") as p1, Upstream("p2") as p2:
        pair = routes({"p1": provider(p1, timeout="150ms"), "p2": p2})
        policy = POLICY | {"breaker": {"failures": 100, "min_requests": 1000}}
        async with running(pair, **policy | {"timeouts": {"connect": "1s", "idle": "150ms"}}) as sidecar:
            await sidecar.chat("warm")
            baseline = len(asyncio.all_tasks())
            for case in cases(table):
                p1.fault = case.fault
                await asyncio.gather(*(sidecar.chat(f"{case}{n}", stream=n % 2 == 1) for n in range(4)))
            registry = sidecar.sidecar.engine.registry

            async def calm():
                states = list(registry.states())
                return (
                    registry.in_flight == 0
                    and all(state.in_flight == 0 for state in states)
                    and len(asyncio.all_tasks()) <= baseline + p1.open_connections + p2.open_connections
                )

            await eventually(calm)
            assert len(sidecar.records) == 1 + 4 * len(table)
            assert await sidecar.metric("sidestep_requests_total") == len(sidecar.records)
