"""Trouble that comes and goes: random failures, flapping, brown-outs, latency, readers that stop, a healthy return."""

import asyncio
import json

from lab import tokens
from lab.client import RawClient, request
from lab.configuration import provider, routes
from lab.replies import served_by
from lab.schedules import brown_out, flapping, share
from lab.sidecar import chat, eventually, running

CONCURRENCY = 16
SHORT = {"open_for": "100ms", "max_open_for": "200ms"}


async def load(sidecar, count, *, stream=False):
    """Ask that many questions, some at a time; every answer must be the right one."""
    numbers = iter(range(count))
    answers = []

    async def worker():
        for number in numbers:
            response = await sidecar.chat(f"nonce-{number}", stream=stream)
            if response.status == 200 and not stream:
                text = response.json()["choices"][0]["message"]["content"]
                assert tokens.read(text).echo == f"nonce-{number}"
            answers.append(response)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return answers


def failed(answers):
    return [(response.status, response.body) for response in answers if response.status != 200]


async def test_random_failures_of_one_in_five_reach_no_client(p1, p2):
    p1.schedule = share("status:500", 0.2, seed=1)
    pair = routes({"p1": provider(p1, retries=1), "p2": provider(p2, retries=1)})
    async with running(pair, breaker=SHORT | {"failures": 5}) as sidecar:
        assert failed(await load(sidecar, 1000)) == []
        calls, requests = len(p1.requests) + len(p2.requests), len(sidecar.records)
        retries = await sidecar.metric("sidestep_retries_total")
    assert max(len(record.attempts) for record in sidecar.records) <= 4
    assert retries <= 0.2 * requests + 30, "within the budget: a fifth of the requests, or three a second over ten"
    assert calls <= 1.5 * requests


async def test_a_flapping_primary_reaches_no_client(p1, p2, pair):
    p1.schedule = flapping("reset", up=0.15, down=0.15)
    async with running(pair, breaker=SHORT) as sidecar:
        assert failed(await load(sidecar, 800)) == []
        assert {record.provider for record in sidecar.records} == {"p1", "p2"}


async def test_a_brown_out_spills_over(p1, p2, pair):
    p1.schedule = brown_out("status:503", per_second=20)
    async with running(pair, breaker=SHORT) as sidecar:
        assert failed(await load(sidecar, 500)) == []
    assert len(p2.requests) > 400


async def test_every_provider_down_multiplies_the_load_by_no_more_than_a_fifth(p1, p2):
    p1.fault = p2.fault = "status:500"
    pair = routes({"p1": provider(p1, retries=2), "p2": provider(p2, retries=2)})
    async with running(pair) as sidecar:
        answers = await load(sidecar, 500)
        assert {response.status for response in answers} <= {502, 503}
        assert len(p1.requests) + len(p2.requests) <= 1.2 * len(answers)


async def test_after_an_outage_the_primary_gets_its_traffic_back_and_keeps_it(p1, p2, pair):
    p1.fault = "status:500"
    async with running(pair, breaker=SHORT, recovery={"ramp": "200ms"}) as sidecar:
        assert failed(await load(sidecar, 100)) == []
        p1.fault = "ok"

        async def all_back():
            return {served_by(one) for one in await load(sidecar, 20)} == {"p1"}

        await eventually(all_back, within=5)
        await asyncio.sleep(0.2)  # the ramp may not be over: at nine tenths, twenty in a row are luck
        assert {served_by(one) for one in await load(sidecar, 200)} == {"p1"}
        assert await sidecar.breaker("p1") == "closed"


async def test_a_reader_that_stops_holds_up_the_upstream_and_nobody_else(p1):
    p1.fault = "tokens:60000"
    patient = {"connect": "1s", "idle": "30s", "total": "60s"}
    async with running(routes({"p1": p1}), timeouts=patient) as sidecar, RawClient(sidecar.port) as reader:
        await reader.send(request(document=chat("slow", stream=True)))
        response = await reader.head()
        reader.writer.transport.pause_reading()
        stopped = -1
        while p1.connections[0].bytes_out != stopped:  # until its writes have come to a halt
            stopped = p1.connections[0].bytes_out
            await asyncio.sleep(0.3)
        p1.fault = "ok"
        assert (await sidecar.chat("quick")).status == 200
        reader.writer.transport.resume_reading()
        response.body = b"".join([piece async for piece in reader.pieces(response)])
    events = [json.loads(event) for event in response.events()[:-1]]
    told = tokens.read("".join(event["choices"][0]["delta"].get("content") or "" for event in events))
    assert (told.count, told.echo) == (60_000, "slow")
    assert stopped < 0.9 * p1.connections[0].bytes_out, "it would have read all of it into memory"
    print(f"the upstream was stopped at {stopped / 1e6:.1f} of {p1.connections[0].bytes_out / 1e6:.1f} MB")
