"""A client that leaves takes its upstream call with it: in every phase, by FIN and by RST, in both event loops."""

import asyncio

import pytest
from lab.client import RawClient, request
from lab.configuration import provider, routes
from lab.sidecar import chat, eventually, process, running

AT_ONCE = 1.0
"""Seconds. The promise is 0.1; the rest is for a busy machine."""
PATIENT = {"connect": "1s", "first_output": "30s", "idle": "30s", "total": "60s"}
PHASES = {
    "before the headers": "hang",
    "between headers and body": "hang_after_headers",
    "before the first output": "role_then_stall",
    "while comments come": "comments:0.01",
    "in the middle of a stream": "stall:2",
    "while a slow stream flows": "pace:0.02",
}


async def leave(client, how):
    if how == "half-close":
        await client.half_close()
    elif how == "FIN":
        client.writer.close()
        await client.writer.wait_closed()
    else:
        client.abort()


async def left_upstream(upstream):
    """Wait until the upstream sees its caller go; the event-loop time at which it did."""
    await upstream.until(lambda: upstream.connections[-1].client_left is not None, within=AT_ONCE)
    return upstream.connections[-1].client_left


@pytest.fixture
async def sidecar(p1, p2):
    async with running(routes({"p1": p1, "p2": p2}), timeouts=PATIENT) as sidecar:
        yield sidecar


@pytest.mark.parametrize("how", ["FIN", "half-close", "RST"])
@pytest.mark.parametrize("phase", PHASES)
async def test_the_upstream_call_ends_with_it_and_nobody_is_blamed(phase, how, p1, p2, sidecar):
    p1.fault = PHASES[phase]
    async with RawClient(sidecar.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        await p1.until(lambda: len(p1.requests) == 1)
        if "stream" in phase:
            await client.head()
            await client.reader.read(1)
        else:
            await asyncio.sleep(0.02)  # let the upstream get to where it stops
        gone = asyncio.get_running_loop().time()
        await leave(client, how)
        seen = await left_upstream(p1)
    print(f"{phase} by {how}: {(seen - gone) * 1000:.1f} ms")

    async def recorded():
        return await sidecar.metric("sidestep_requests_total", outcome="cancelled") == 1

    await eventually(recorded)
    assert await sidecar.metric("sidestep_attempts_total", provider="p1", **{"class": "cancelled"}) == 1
    assert await sidecar.metric("sidestep_attempts_total") == 1
    assert await sidecar.metric("sidestep_provider_in_flight") == 0
    assert await sidecar.metric("sidestep_requests_in_flight") == 0
    assert await sidecar.breaker("p1") == "closed"
    assert not p2.requests


async def test_a_plain_request_s_call_ends_with_its_client(p1, p2, sidecar):
    p1.fault = "slow_body:0.02"
    async with RawClient(sidecar.port) as client:
        await client.send(request(document=chat("hello")))
        await p1.until(lambda: len(p1.requests) == 1)
        await leave(client, "FIN")
        await left_upstream(p1)
    assert not p2.requests


async def test_clients_that_leave_never_open_a_breaker(p1, p2, sidecar):
    p1.fault = "hang"
    for number in range(1, 6):
        async with RawClient(sidecar.port) as client:
            await client.send(request(document=chat("hello")))
            await p1.until(lambda number=number: len(p1.requests) == number)
            await leave(client, "FIN")
            await left_upstream(p1)
    assert await sidecar.breaker("p1") == "closed"
    p1.fault = "ok"
    assert (await sidecar.chat("hello")).headers.get("x-sidestep-provider") == "p1"


async def test_a_client_that_leaves_gives_the_half_open_probe_back(p1, p2):
    pair = routes({"p1": provider(p1, breaker={"failures": 1, "open_for": "50ms", "max_open_for": "50ms"}), "p2": p2})
    async with running(pair, timeouts=PATIENT) as sidecar:
        p1.fault = "status:500"
        await sidecar.chat("trip it")
        p1.fault = "hang"

        async def half_open():
            return await sidecar.breaker("p1") == "half_open"

        await eventually(half_open)
        async with RawClient(sidecar.port) as client:
            await client.send(request(document=chat("probe")))
            await p1.until(lambda: len(p1.requests) == 2)
            while_probed = await sidecar.chat("another")
            await leave(client, "RST")
            await left_upstream(p1)
        assert while_probed.headers.get("x-sidestep-provider") == "p2", "one probe at a time"
        p1.fault = "ok"

        async def freed():
            return await sidecar.metric("sidestep_provider_in_flight") == 0

        await eventually(freed)
        assert (await sidecar.chat("next")).headers.get("x-sidestep-provider") == "p1"
        assert await sidecar.breaker("p1") == "closed"


async def test_it_is_the_same_in_the_program_as_it_is_shipped(p1, p2):
    async with process(routes({"p1": p1, "p2": p2}), timeouts=PATIENT) as program:
        for number, (phase, fault) in enumerate(PHASES.items(), 1):
            p1.fault = fault
            async with RawClient(program.port) as client:
                await client.send(request(document=chat(phase, stream=True)))
                await p1.until(lambda number=number: len(p1.requests) == number)
                if "stream" in phase:
                    await client.head()
                gone = asyncio.get_running_loop().time()
                await leave(client, "FIN" if number % 2 else "RST")
                seen = await left_upstream(p1)
            print(f"program, {phase}: {(seen - gone) * 1000:.1f} ms")

        async def recorded():
            return await program.metric("sidestep_requests_total", outcome="cancelled") == len(PHASES)

        await eventually(recorded)
        assert await program.breaker("p1") == "closed"
        program.terminate()
        assert await program.ended() == 0
        assert program.stderr.read_text() == ""
