"""Our own limits: calls at a time, what providers say is left, and what one process can take."""

import asyncio
import time

import pytest
from lab.client import RawClient, request
from lab.configuration import provider, routes
from lab.fault import status
from lab.sidecar import chat, eventually, running

from proxy.resilience.load import Strain

PATIENT = {"timeouts": {"first_output": "10s", "total": "20s"}}
"""A policy under which nobody's time runs out within a test."""


def question(text="question", **fields):
    return request(document=chat(text, **fields))


async def queued(sidecar, name="p1"):
    return await sidecar.metric("sidestep_provider_queued", provider=name)


# Calls at a time


async def test_a_call_beyond_the_limit_goes_to_another_provider_at_once(p1, p2):
    p1.fault = "hang"
    pair = routes({"p1": provider(p1, concurrency={"max": 1}), "p2": p2})
    async with running(pair) as sidecar, RawClient(sidecar.port) as first:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        second = await sidecar.chat("second")

    assert second.headers.get("x-sidestep-provider") == "p2"
    assert second.headers.get("x-sidestep-attempts") == "1"
    assert len(p1.requests) == 1


async def test_a_call_that_nobody_else_can_answer_waits_for_its_turn(p1):
    p1.fault = "latency:0.1"
    only = routes({"p1": provider(p1, concurrency={"max": 1, "wait": "5s"})})
    async with running(only) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(f"question {number}") for number in range(4)))
        waited = [step.attributes.get("sidestep.queue.waited") for each in sidecar.records for step in each.steps]

    assert [answer.status for answer in answers] == [200] * 4
    assert sum(bool(each) for each in waited) == 3
    assert max(_overlap(sidecar.records)) == 1


async def test_a_provider_that_has_failed_already_is_no_reason_not_to_wait(p1, p2):
    p1.fault, p2.fault = "latency:0.2", "status:500"
    pair = routes({"p1": provider(p1, concurrency={"max": 1, "wait": "5s"}), "p2": p2})
    async with running(pair) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(f"question {number}") for number in range(2)))

    assert [answer.headers.get("x-sidestep-provider") for answer in answers] == ["p1", "p1"]
    assert len(p2.requests) == 1


async def test_a_wait_that_comes_to_nothing_is_a_503_with_a_time_to_come_back(p1):
    p1.fault = "hang"
    only = routes({"p1": provider(p1, concurrency={"max": 1, "wait": "20ms"})})
    async with running(only) as sidecar, RawClient(sidecar.port) as first:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        refused = await sidecar.chat("second")

    assert (refused.status, refused.json()["error"]["code"]) == (503, "no_provider_available")
    assert refused.headers.get("retry-after") == "1"
    assert "p1 is busy" in refused.json()["error"]["message"]
    assert len(p1.requests) == 1


async def test_a_full_queue_refuses_at_once(p1):
    p1.fault = "hang"
    only = routes({"p1": provider(p1, concurrency={"max": 1, "queue": 1, "wait": "1h"})})
    async with running(only, **PATIENT) as sidecar, RawClient(sidecar.port) as first, RawClient(sidecar.port) as second:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        await second.send(question())
        await eventually(lambda: _is(queued(sidecar), 1))
        third = await sidecar.chat("third")

    assert third.status == 503


async def test_a_waiting_client_that_leaves_frees_its_place_in_the_queue(p1):
    p1.fault = "hang"
    only = routes({"p1": provider(p1, concurrency={"max": 1, "queue": 1, "wait": "1h"})})
    async with running(only, **PATIENT) as sidecar:
        async with RawClient(sidecar.port) as first:
            await first.send(question())
            await p1.until(lambda: len(p1.requests) == 1)
            async with RawClient(sidecar.port) as second:
                await second.send(question())
                await eventually(lambda: _is(queued(sidecar), 1))
            await eventually(lambda: _is(queued(sidecar), 0))
            p1.fault = "ok"
        third = await sidecar.chat("third")

    assert third.status == 200
    assert len(p1.requests) == 2, "who left was never sent"


async def test_nobody_waits_past_the_deadline_of_the_request(p1):
    p1.fault = "hang"
    only = routes({"p1": provider(p1, concurrency={"max": 1, "wait": "1h"})})
    async with running(only, **PATIENT) as sidecar, RawClient(sidecar.port) as first:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        late = await sidecar.chat("second", headers={"x-sidestep-timeout": "0.1"})

        assert (late.status, late.json()["error"]["code"]) == (504, "deadline_exceeded")
        await eventually(lambda: _is(queued(sidecar), 0))


async def test_a_stream_keeps_its_place_until_it_ends(p1, p2):
    p1.fault = "stall:2"
    pair = routes({"p1": provider(p1, concurrency={"max": 1}), "p2": p2})
    async with running(pair, timeouts={"idle": "10s", "total": "20s"}) as sidecar:
        async with RawClient(sidecar.port) as first:
            await first.send(question(stream=True))
            await first.head()
            meanwhile = await sidecar.chat("second")
        p1.fault = "ok"

        async def first_is_free():
            return (await sidecar.chat("third")).headers.get("x-sidestep-provider") == "p1"

        await eventually(first_is_free)

    assert meanwhile.headers.get("x-sidestep-provider") == "p2"


def _overlap(records):
    """How many upstream calls were under way as each began."""
    calls = [call for record in records for call in record.attempts]
    return [sum(other.started <= call.started < other.ended for other in calls) for call in calls]


async def _is(reading, value):
    return await reading == value


# What providers say is left

LAST = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
}


async def test_a_provider_that_says_nothing_is_left_is_spared_until_its_reset(p1, p2):
    p1.fault = status(200, LAST, x_ratelimit_remaining="0", x_ratelimit_reset="60")
    async with running(routes({"p1": p1, "p2": p2})) as sidecar:
        first = await sidecar.chat("first")
        second = await sidecar.chat("second")
        cooling = await sidecar.metric("sidestep_provider_cooldown_seconds", provider="p1")

    assert (first.status, first.headers.get("x-sidestep-provider")) == (200, "p1")
    assert second.headers.get("x-sidestep-provider") == "p2"
    assert second.headers.get("x-sidestep-attempts") == "1"
    assert 0 < cooling <= 60
    assert len(p1.requests) == 1


async def test_a_provider_that_says_something_is_left_is_asked_again(p1, p2):
    p1.fault = status(200, LAST, x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests="60s")
    async with running(routes({"p1": p1, "p2": p2})) as sidecar:
        answers = [await sidecar.chat("question") for _ in range(3)]

    assert {answer.headers.get("x-sidestep-provider") for answer in answers} == {"p1"}


async def test_when_everybody_has_nothing_left_the_client_is_told_when_to_come_back(p1):
    p1.fault = status(200, LAST, x_ratelimit_remaining="0", x_ratelimit_reset="60")
    async with running(routes({"p1": p1}), retry={"retry_after_max": "30s"}) as sidecar:
        await sidecar.chat("first")
        refused = await sidecar.chat("second")

    assert (refused.status, refused.headers.get("retry-after")) == (429, "30")
    assert len(p1.requests) == 1


# Overload


async def test_a_request_beyond_the_limit_in_flight_is_refused_before_its_body_is_read(p1):
    p1.fault = "hang"
    server = {"limits": {"in_flight": 1}}
    async with running(routes({"p1": p1}, server=server), **PATIENT) as sidecar, RawClient(sidecar.port) as first:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        async with RawClient(sidecar.port) as second:
            head = request(headers={"Content-Length": "1000000", "Expect": "100-continue"})
            refused = await second.ask(head)
        counted = await sidecar.metric("sidestep_overload_refusals_total", reason="in_flight")

    assert (refused.status, refused.json()["error"]["code"]) == (503, "overloaded")
    assert (refused.headers.get("retry-after"), refused.interim) == ("1", [])
    assert counted == 1
    assert len(p1.requests) == 1


async def test_a_refused_request_takes_nothing_from_the_one_that_was_admitted(p1):
    async with running(routes({"p1": p1}, server={"limits": {"in_flight": 1}})) as sidecar:
        async with RawClient(sidecar.port) as slow:
            await slow.send(question()[:-5])
            await eventually(lambda: _is(sidecar.metric("sidestep_requests_in_flight"), 1))
            refused = await asyncio.gather(*(sidecar.chat("too many") for _ in range(20)))
            answer = await slow.ask(question()[-5:])
        afterwards = await sidecar.chat("room again")

    assert {each.status for each in refused} == {503}
    assert (answer.status, afterwards.status) == (200, 200)


@pytest.mark.parametrize("strain", [Strain.LAG, Strain.MEMORY])
async def test_an_overloaded_process_refuses_what_is_new_serves_what_is_begun_and_recovers(p1, strain):
    p1.fault = "latency:0.3"
    async with running(routes({"p1": p1})) as sidecar, RawClient(sidecar.port) as first:
        await first.send(question())
        await p1.until(lambda: len(p1.requests) == 1)
        sidecar.sidecar.engine.registry.load.strain = strain  # until the sensor looks again
        refused = await sidecar.chat("second")
        answer = await first.response()

        async def recovered():
            return (await sidecar.chat("third")).status == 200

        await eventually(recovered, within=10)

    assert (refused.status, refused.json()["error"]["code"]) == (503, "overloaded")
    assert answer.status == 200


async def test_our_own_stall_trips_no_breaker(p1, p2):
    p1.fault = "latency:0.3"
    pair = routes({"p1": provider(p1, breaker={"failures": 1}, timeout="400ms"), "p2": p2})
    async with running(pair) as sidecar:
        asking = asyncio.ensure_future(sidecar.chat("question"))
        await p1.until(lambda: len(p1.requests) == 1)
        time.sleep(0.6)  # noqa: ASYNC251  the event loop stands still, and p1 with it, which shares it
        answer = await asking
        breaker = await sidecar.breaker("p1")

    assert answer.status == 200
    assert breaker == "closed"
    assert [call.failure.error_class for call in sidecar.records[0].attempts if call.failure] == ["timeout"]


async def test_a_provider_that_is_slow_by_itself_trips_its_breaker(p1, p2):
    p1.fault = "hang"
    pair = routes({"p1": provider(p1, breaker={"failures": 1}, timeout="400ms"), "p2": p2})
    async with running(pair) as sidecar:
        answer = await sidecar.chat("question")
        breaker = await sidecar.breaker("p1")

    assert (answer.status, answer.headers.get("x-sidestep-provider")) == (200, "p2")
    assert breaker == "open"
