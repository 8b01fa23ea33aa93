"""Two providers at once over real sockets: the faster one is heard, the other one's connection ends."""

import asyncio

import pytest
from lab import otlp
from lab.client import RawClient, request
from lab.configuration import provider, routes
from lab.sidecar import chat, eventually, running
from lab.upstream import Upstream

PATIENT = {"connect": "1s", "first_output": "20s", "idle": "20s", "total": "30s"}
HEDGED = {"hedge": {"delay": "50ms"}, "timeouts": PATIENT}
SOON = 5.0
"""Seconds; far below the primary's time-out, far above what a hedge takes on a busy machine."""
STALLS = {
    "no head": "hang",
    "no body": "hang_after_headers",
    "role only": "role_then_stall",
    "comments": "comments:0.01",
}


async def nothing_is_held(sidecar):
    async def at_rest():
        return await sidecar.metric("sidestep_provider_in_flight") == 0

    await eventually(at_rest)
    assert await sidecar.metric("sidestep_requests_in_flight") == 0


async def left_alone(upstream):
    """Wait until the upstream sees its caller go."""
    await upstream.until(lambda: upstream.connections[-1].client_left is not None)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("stall", STALLS)
async def test_a_stalled_primary_costs_the_delay_and_not_its_time_out(stall, stream, p1, p2, pair):
    p1.fault = STALLS[stall]
    loop = asyncio.get_running_loop()
    async with running(pair, **HEDGED) as sidecar:
        begun = loop.time()
        answer = await sidecar.chat("hello", stream=stream)
        took = loop.time() - begun
        await left_alone(p1)
        await nothing_is_held(sidecar)
        assert await sidecar.breaker("p1") == "closed"
        assert await sidecar.metric("sidestep_attempts_total", **{"class": "cancelled"}, provider="p1") == 1
        assert await sidecar.metric("sidestep_hedged_attempts_total", provider="p1", part="loser") == 1
        assert await sidecar.metric("sidestep_hedged_attempts_total", provider="p2", part="winner") == 1
        assert await sidecar.metric("sidestep_maybe_billed_total", provider="p1") == 1
        assert await sidecar.metric("sidestep_failovers_total") == 0
    assert answer.status == 200
    assert answer.headers.get("x-sidestep-provider") == "p2"
    assert answer.headers.get("x-sidestep-attempts") == "2"
    assert answer.headers.get("x-sidestep-failover") == "false"
    assert took < SOON
    assert (len(p1.requests), len(p2.requests)) == (1, 1)
    if stream:
        assert answer.events()[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_primary_that_is_merely_slow_may_still_win(stream, p1, p2, pair):
    p1.fault, p2.fault = "latency:0.3", "hang"
    async with running(pair, **HEDGED) as sidecar:
        answer = await sidecar.chat("hello", stream=stream)
        await left_alone(p2)
        await nothing_is_held(sidecar)
        assert await sidecar.breaker("p2") == "closed"
    assert (answer.status, answer.headers.get("x-sidestep-provider")) == (200, "p1")
    assert answer.headers.get("x-sidestep-failover") == "false"


async def test_a_quick_primary_is_asked_alone(p1, p2, pair):
    async with running(pair, hedge={"delay": "10s"}, timeouts=PATIENT) as sidecar:
        for _ in range(5):
            await sidecar.chat("hello")
    assert (len(p1.requests), len(p2.requests)) == (5, 0)


async def test_when_both_fail_the_third_is_asked_and_none_of_them_again(p1, p2):
    p1.fault, p2.fault = "hang", "status:500"
    async with Upstream("p3") as p3:
        providers = {"p1": provider(p1, timeout="300ms"), "p2": p2, "p3": p3}
        async with running(routes(providers), **HEDGED) as sidecar:
            answer = await sidecar.chat("hello")
            await nothing_is_held(sidecar)
            assert await sidecar.metric("sidestep_hedged_attempts_total", part="failed") == 2
        assert [len(each.requests) for each in (p1, p2, p3)] == [1, 1, 1]
    assert (answer.status, answer.headers.get("x-sidestep-provider")) == (200, "p3")
    assert answer.headers.get("x-sidestep-failover") == "true"


async def test_requests_with_tools_wait_for_one_provider(p1, p2, pair):
    p1.fault = "latency:0.3"
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    async with running(pair, **HEDGED) as sidecar:
        answer = await sidecar.chat("hello", tools=tools)
    assert answer.headers.get("x-sidestep-provider") == "p1"
    assert not p2.requests


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_client_that_leaves_ends_both_calls(stream, p1, p2, pair):
    p1.fault = p2.fault = "hang"
    async with running(pair, **HEDGED) as sidecar:
        async with RawClient(sidecar.port) as client:
            await client.send(request(document=chat("hello", stream=stream)))
            await p2.until(lambda: len(p2.requests) == 1)
            client.abort()
            await left_alone(p1)
            await left_alone(p2)
        await nothing_is_held(sidecar)
        assert await sidecar.metric("sidestep_attempts_total", **{"class": "cancelled"}) == 2
        assert [await sidecar.breaker(name) for name in ("p1", "p2")] == ["closed", "closed"]


async def test_many_hedged_requests_leave_nothing_behind(p1, p2, pair):
    """Every other request stalls at the primary."""
    p1.schedule = lambda turn: "hang" if turn % 2 else "ok"
    retry = {"budget": {"ratio": "100%", "min": 100}}
    async with running(pair, retry=retry, **HEDGED) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(f"question {number}") for number in range(40)))
        await nothing_is_held(sidecar)
        made = await sidecar.metric("sidestep_attempts_total")
        assert len(p1.requests) + len(p2.requests) <= made <= 80, "a loser may be closed before its request arrives"
        assert await sidecar.breaker("p1") == "closed"
    echoes = [answer.json()["choices"][0]["message"]["content"].partition("= ")[2] for answer in answers]
    assert echoes == [f"question {number}" for number in range(40)]


async def test_the_retry_budget_bounds_hedges_when_everything_is_slow(p1, p2, pair):
    p1.fault = p2.fault = "latency:0.4"
    async with running(pair, retry={"budget": {"ratio": "0%", "min": 0.2}}, **HEDGED) as sidecar:
        await asyncio.gather(*(sidecar.chat(f"{number}") for number in range(20)))
    assert len(p1.requests) == 20
    assert len(p2.requests) == 2


async def test_spans_tell_who_won(p1, p2, pair):
    p1.fault = "hang"
    with otlp.http_receiver() as receiver:
        traces = {"exporter": "otlp", "endpoint": receiver.endpoint, "protocol": "http"}
        async with running(pair | {"telemetry": {"traces": traces}}, **HEDGED) as sidecar:
            await sidecar.chat("hello")
        calls = sorted((span for span in receiver.spans if span.kind == "CLIENT"), key=lambda span: span.start)
        (operation,) = [span for span in receiver.spans if span.name == "chat small"]
    parts = [(span.attributes["sidestep.provider"], span.attributes["sidestep.hedge"]) for span in calls]
    assert parts == [("p1", "loser"), ("p2", "winner")]
    assert [span.status for span in calls] == ["UNSET", "UNSET"]
    assert calls[0].attributes["sidestep.maybe_billed"] is True
    assert [event.name for event in operation.events] == ["hedge"]
    assert operation.attributes["sidestep.failover"] is False
