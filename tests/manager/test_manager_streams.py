"""Streams through the manager, the same both ways: pieces as they come, one last result, and an early end if wanted."""

import asyncio

import pytest
from lab.configuration import QUICK

HELLO = [{"role": "user", "content": "hello"}]


async def told(stream):
    """Read a stream to its end: its pieces, and what came last."""
    *pieces, last = [piece async for piece in stream]
    return pieces, last


async def test_a_stream_is_pieces_of_text_and_a_last_result_with_the_rest(manager):
    pieces, last = await told(manager.stream_text(HELLO, model="small"))
    assert "".join(piece["content"] for piece in pieces).endswith("p1:1:4 = hello")
    assert [set(piece) for piece in pieces] == [{"content"}] * len(pieces)
    assert (last["content"], last["finish_reason"], last["provider_used"]) == ("", "stop", "pollinations")
    assert (last["model"], last["usage"]["total_tokens"]) == ("small", 12)


async def test_a_failure_before_the_first_word_is_not_seen(manager, p1):
    p1.fault = "cut:0"
    pieces, last = await told(manager.stream_text(HELLO))
    assert pieces[0]["content"].startswith("p2:")
    assert (last["provider_used"], last["failover_occurred"]) == ("openrouter", True)


async def test_a_stream_that_breaks_ends_in_an_error(manager, p1):
    p1.fault = "cut:2"
    pieces, last = await told(manager.stream_text(HELLO))
    assert "".join(piece["content"] for piece in pieces) == "p1:1:0 p1:1:1 "
    assert (last["code"], last["status"]) == ("stream_broken", 502)
    assert [each["provider"] for each in last["attempts"]] == ["pollinations"]


async def test_a_stream_that_never_begins_is_an_error_alone(manager, p1, p2):
    p1.fault = p2.fault = "status:500"
    pieces, last = await told(manager.stream_text(HELLO))
    assert (pieces, last["code"]) == ([], "all_providers_failed")


async def test_tool_calls_come_whole_with_the_last_result(manager):
    tool = {"type": "function", "function": {"name": "weather"}}
    streamed = (await told(manager.stream_text(HELLO, tools=[tool])))[1]
    plain = await manager.generate_text(HELLO, tools=[tool])
    (call,), (same,) = streamed["tool_calls"], plain["tool_calls"]
    assert call["function"] == same["function"]
    assert call["type"] == "function"


async def test_a_text_that_was_configured_for_bad_days_is_streamed_like_any_other(start, documents, p1, p2):
    p1.fault = p2.fault = "status:500"
    async with start(documents, degrade=[{"static": "Come back later."}]) as manager:
        pieces, last = await told(manager.stream_text(HELLO))
    assert pieces == [{"content": "Come back later."}]
    assert (last["finish_reason"], last["provider"]) == ("stop", "")


async def test_who_closes_the_iterator_ends_the_providers_work(patient, p1):
    p1.fault = "stall:2"
    stream = patient.stream_text(HELLO)
    await anext(stream)
    assert p1.open_connections == 1
    await stream.aclose()
    await p1.until(lambda: p1.open_connections == 0)


async def test_who_walks_away_from_the_iterator_ends_it_too(patient, p1):
    p1.fault = "stall:2"
    async for _ in patient.stream_text(HELLO):
        break
    await p1.until(lambda: p1.open_connections == 0)


async def test_a_task_that_is_cancelled_in_the_middle_of_a_stream_ends_it_too(patient, p1):
    p1.fault = "stall:2"
    reading = asyncio.ensure_future(told(patient.stream_text(HELLO)))
    await p1.until(lambda: len(p1.requests) == 1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await p1.until(lambda: p1.open_connections == 0)


async def test_a_stream_that_is_still_open_ends_with_the_manager(start, documents, p1):
    p1.fault = "stall:2"
    async with start(documents, timeouts=QUICK["timeouts"] | {"idle": "60s", "total": "60s"}) as manager:
        stream = manager.stream_text(HELLO)
        await anext(stream)
    await p1.until(lambda: p1.open_connections == 0)
    await stream.aclose()


async def test_a_stream_that_is_being_read_when_the_manager_closes_ends_in_an_error(patient, p1):
    p1.fault = "stall:2"
    stream = patient.stream_text(HELLO)
    await anext(stream)
    reading = asyncio.ensure_future(told(stream))
    await asyncio.sleep(0)
    await patient.close()
    async with asyncio.timeout(5):
        assert "error" in (await reading)[1]
    await p1.until(lambda: p1.open_connections == 0)
