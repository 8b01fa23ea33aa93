"""Answers given again over real sockets: what apps see, what providers see, and what the operator sees."""

import asyncio

import pytest
from lab import otlp, tokens
from lab.client import RawClient, request
from lab.configuration import routes
from lab.sidecar import chat, eventually, running

ON = {"cache": {"ttl": "10s"}}
PATIENT = {"connect": "2s", "first_output": "10s", "idle": "10s", "total": "10s"}
"""For crowds: nobody is to fail over because the test's own process, which plays everyone, stood still for a moment."""
STALE = {"cache": {"ttl": "50ms"}, "degrade": [{"stale_cache": {"max_age": "1h"}}]}


def text(answer):
    """Read the answer's words back, and with them that none is lost or mixed."""
    return tokens.read(answer.json()["choices"][0]["message"]["content"])


def told(answer):
    names = ("x-sidestep-cache", "x-sidestep-provider", "x-sidestep-attempts", "age")
    return tuple(answer.headers.get(name) for name in names)


async def counted(sidecar, result):
    return await sidecar.metric("sidestep_cache_total", route="chat", result=result)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_the_second_of_two_equal_questions_is_answered_from_memory(stream, p1, pair):
    async with running(pair, **ON) as sidecar:
        first = await sidecar.chat("hello", stream=stream)
        second = await sidecar.chat("hello", stream=stream)
        assert (await counted(sidecar, "miss"), await counted(sidecar, "hit")) == (1, 1)
        assert await sidecar.metric("sidestep_tokens_total", provider="p1", type="output") == 5, "counted once"
    assert second.body == first.body
    assert second.headers.get("content-type") == first.headers.get("content-type")
    assert told(first) == ("miss", "p1", "1", None)
    assert told(second) == ("hit", "p1", "0", "0")
    assert len(p1.requests) == 1


async def test_a_replayed_stream_reads_as_the_first_one_did(p1, pair):
    async with running(pair, **ON) as sidecar:
        first = await sidecar.chat("hello", stream=True)
        second = await sidecar.chat("hello", stream=True)
    assert second.events() == first.events()
    assert second.events()[-1] == "[DONE]"
    assert len(p1.requests) == 1


async def test_no_header_of_the_provider_s_is_given_again(p1, pair):
    p1.cookie = "session=secret"
    async with running(pair, **ON) as sidecar:
        await sidecar.chat("hello")
        again = await sidecar.chat("hello", {"x-request-id": "mine"})
    assert again.headers.get("set-cookie") is None
    assert again.headers.get("x-request-id") == "mine"
    assert again.headers.get("transfer-encoding") is None


async def test_an_answer_grows_too_old(p1, pair):
    async with running(pair, cache={"ttl": "50ms"}) as sidecar:
        await sidecar.chat("hello")

        async def asked_again():
            await sidecar.chat("hello")
            return len(p1.requests) == 2

        await eventually(asked_again)


async def test_a_full_store_forgets_what_was_not_asked_for_longest(p1, pair):
    async with running(pair, cache={"ttl": "10s", "max_bytes": "2KiB"}) as sidecar:
        for question in ("a", "b", "c", "a", "c"):
            await sidecar.chat(question)
    assert [received.question for received in p1.requests] == ["a", "b", "c", "a"]


@pytest.mark.parametrize("fault", ["cut:2", "cut_reset:2", "error_mid:2"])
async def test_a_stream_that_was_cut_is_never_given_again(fault, p1, pair):
    p1.schedule = [fault]
    async with running(pair, **ON) as sidecar:
        cut = await sidecar.chat("hello", stream=True)
        whole = await sidecar.chat("hello", stream=True)
    assert "[DONE]" not in cut.events()
    assert whole.events()[-1] == "[DONE]"
    assert len(p1.requests) == 2


@pytest.mark.parametrize("fault", ["status:500", "error_body", "empty_body", "status:400"])
async def test_a_failure_is_never_given_again(fault, p1):
    p1.schedule = [fault]
    async with running(routes({"p1": p1}), **ON) as sidecar:
        failed = await sidecar.chat("hello")
        good = await sidecar.chat("hello")
    assert (failed.status >= 400, good.status) == (True, 200)


async def test_requests_with_tools_are_always_asked(p1, pair):
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    async with running(pair, **ON) as sidecar:
        answers = [await sidecar.chat("hello", tools=tools) for _ in range(2)]
    assert len(p1.requests) == 2
    assert {told(answer)[0] for answer in answers} == {None}


async def test_a_hundred_equal_questions_at_once_are_one_call(p1, pair):
    p1.fault = "latency:0.3"
    async with running(pair, timeouts=PATIENT, **ON) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat("hello") for _ in range(100)))
        assert (await counted(sidecar, "miss"), await counted(sidecar, "shared")) == (1, 99)
        assert await sidecar.metric("sidestep_requests_in_flight") == 0
        overhead = await sidecar.metric("sidestep_overhead_seconds_sum")
        assert overhead < await sidecar.metric("sidestep_request_duration_seconds_sum") - 99 * 0.1, "waiting is none"
    assert len(p1.requests) == 1
    assert {(answer.status, text(answer).echo) for answer in answers} == {(200, "hello")}
    assert sorted(told(answer)[:3] for answer in answers) == [("miss", "p1", "1")] + [("shared", "p1", "0")] * 99


async def test_equal_questions_mixed_with_others_each_get_their_own_answer(p1, pair):
    p1.fault = "latency:0.1"
    questions = [f"question {number % 7}" for number in range(70)]
    async with running(pair, timeouts=PATIENT, **ON) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(question) for question in questions))
    assert [text(answer).echo for answer in answers] == questions
    assert len(p1.requests) == 7


async def test_when_the_client_that_asks_leaves_the_others_are_answered(p1, pair):
    p1.schedule = ["hang"]
    async with running(pair, timeouts=PATIENT, **ON) as sidecar:
        async with RawClient(sidecar.port) as leader:
            await leader.send(request(document=chat("hello")))
            await p1.until(lambda: len(p1.requests) == 1)
            followers = [asyncio.create_task(sidecar.chat("hello")) for _ in range(10)]

            async def all_wait():
                return await sidecar.metric("sidestep_requests_in_flight") == 11

            await eventually(all_wait)
            leader.abort()
            answers = await asyncio.gather(*followers)
        assert await sidecar.metric("sidestep_provider_in_flight") == 0
        assert await sidecar.breaker("p1") == "closed"
    assert {(answer.status, text(answer).echo) for answer in answers} == {(200, "hello")}
    assert len(p1.requests) == 2


async def test_an_old_answer_is_better_than_none(p1, p2, pair):
    async with running(pair, **STALE) as sidecar:
        for stream in (False, True):
            await sidecar.chat("hello", stream=stream)
        await p1.go_down()
        await p2.go_down()

        async def degraded():
            return (await sidecar.chat("hello")).headers.get("x-sidestep-degraded") == "stale_cache"

        await eventually(degraded)
        plain, stream = await sidecar.chat("hello"), await sidecar.chat("hello", stream=True)
        unknown = await sidecar.chat("something else")
        assert await counted(sidecar, "stale") == await sidecar.metric("sidestep_degraded_total", kind="stale_cache")
        assert await sidecar.metric("sidestep_requests_total", outcome="degraded") >= 3
    assert (plain.status, text(plain).echo) == (200, "hello")
    assert (stream.status, stream.events()[-1]) == (200, "[DONE]")
    assert {told(plain)[0], told(stream)[0]} == {"stale"}
    assert plain.headers.get("age") is not None
    assert unknown.status in {502, 503}


async def test_spans_tell_what_the_cache_had(p1, pair):
    with otlp.http_receiver() as receiver:
        traces = {"exporter": "otlp", "endpoint": receiver.endpoint, "protocol": "http"}
        async with running(pair | {"telemetry": {"traces": traces}}, **ON) as sidecar:
            for _ in range(2):
                await sidecar.chat("hello")
        operations = [span.attributes for span in receiver.spans if span.name == "chat small"]
        calls = [span for span in receiver.spans if span.kind == "CLIENT"]
    assert sorted(each["sidestep.cache"] for each in operations) == ["hit", "miss"]
    assert sum("sidestep.cache.age" in each for each in operations) == 1
    assert len(calls) == 1
