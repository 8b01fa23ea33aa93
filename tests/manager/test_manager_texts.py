"""Texts, batches and images through the manager, the same both ways: a failed call returns why and raises nothing."""

import asyncio
from base64 import b64decode
from urllib.parse import urlsplit

import pytest
from lab.configuration import routes
from lab.operator import TOKEN
from lab.upstream import Upstream

HELLO = [{"role": "user", "content": "hello"}]
TEXT = {
    "content",
    "provider",
    "provider_used",
    "failover_occurred",
    "model",
    "finish_reason",
    "tool_calls",
    "usage",
    "attempts",
    "request_id",
}
IMAGES = "/v1/images/generations"
ADMIN = {"admin": {"listen": "127.0.0.1:0", "token": TOKEN}}


async def test_a_text_tells_who_wrote_it_and_how_it_came_about(manager):
    result = await manager.generate_text(HELLO, model="small")
    assert set(result) == TEXT
    assert result["content"].endswith("= hello")
    assert (result["provider"], result["provider_used"]) == ("pollinations", "pollinations")
    assert (result["failover_occurred"], result["attempts"]) == (False, 1)
    assert (result["model"], result["finish_reason"], result["tool_calls"]) == ("small", "stop", [])
    assert result["usage"]["total_tokens"] == 12
    assert len(result["request_id"]) == 32


async def test_a_failover_is_told(manager, p1):
    p1.fault = "status:500"
    result = await manager.generate_text(HELLO)
    assert (result["provider_used"], result["failover_occurred"], result["attempts"]) == ("openrouter", True, 2)


async def test_a_tool_call_has_no_content(manager):
    tool = {"type": "function", "function": {"name": "weather"}}
    result = await manager.generate_text(HELLO, tools=[tool], tool_choice="auto")
    assert (result["content"], result["finish_reason"]) == ("", "tool_calls")
    assert result["tool_calls"][0]["function"]["name"] == "weather"


async def test_fields_without_a_name_of_their_own_reach_the_provider_too(manager, p1):
    await manager.generate_text(HELLO, top_p=0.5, seed=0)
    assert p1.requests[0].document == {"messages": HELLO, "top_p": 0.5, "seed": 0}


async def test_when_nobody_can_answer_the_result_says_so_attempt_by_attempt(manager, p1, p2):
    p1.fault = p2.fault = "status:500"
    result = await manager.generate_text(HELLO)
    assert set(result) == {"error", "code", "status", "attempts", "request_id"}
    assert (result["code"], result["status"]) == ("all_providers_failed", 502)
    assert [(each["provider"], each["class"], each["status"]) for each in result["attempts"]] == [
        ("pollinations", "server_error", 500),
        ("openrouter", "server_error", 500),
    ]


async def test_a_providers_own_verdict_is_told_in_its_words(manager, p1):
    p1.fault = "status:400"
    result = await manager.generate_text(HELLO)
    assert (result["status"], result["error"]) == (400, "simulated 400")


async def test_a_timeout_bounds_the_whole_call(manager, p1, p2):
    p1.fault = p2.fault = "hang"
    result = await manager.generate_text(HELLO, timeout=0.1)
    assert (result["code"], result["status"]) == ("deadline_exceeded", 504)


async def test_a_model_that_no_route_takes_is_an_error_and_no_exception(start, documents):
    documents["routes"][0]["match"]["model"] = "large"
    async with start(documents) as manager:
        result = await manager.generate_text(HELLO, model="small")
    assert (result["code"], result["status"], result["attempts"]) == ("no_route", 404, [])


async def test_a_call_that_is_cancelled_ends_the_providers_work(patient, p1):
    p1.fault = "hang"
    call = asyncio.ensure_future(patient.generate_text(HELLO))
    await p1.until(lambda: len(p1.requests) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await p1.until(lambda: p1.open_connections == 0)


async def test_a_call_under_way_when_the_manager_closes_gets_an_error(patient, p1):
    p1.schedule = ["ok", "hang"]
    await patient.generate_text(HELLO)
    call = asyncio.ensure_future(patient.generate_text(HELLO))
    await p1.until(lambda: len(p1.requests) == 2)
    await patient.close()
    async with asyncio.timeout(5):
        assert (await call)["status"] == 503
    await p1.until(lambda: p1.open_connections == 0)


async def test_a_batch_comes_back_in_the_order_of_its_questions(manager):
    batch = [[{"role": "user", "content": f"question {number}"}] for number in range(20)]
    results = await manager.generate_texts(batch, concurrency=5, model="small")
    assert [result["content"].rpartition("= ")[2] for result in results] == [each[0]["content"] for each in batch]


async def test_what_fails_of_a_batch_is_an_error_in_its_place(manager, p1):
    p1.schedule = ["ok", "status:400", "ok"]
    results = await manager.generate_texts([HELLO] * 3, concurrency=1)
    assert ["error" in result for result in results] == [False, True, False]


async def test_an_image_is_a_url(manager, p1):
    url = await manager.generate_image("A beautiful sunset", size="64x32", seed=7)
    assert urlsplit(url).port == p1.port
    assert {"width": "64", "height": "32", "seed": "7"}.items() <= p1.requests[0].query.items()


async def test_an_image_that_came_along_is_a_data_url(start):
    async with (
        Upstream("p1") as openai,
        start(routes({"p1": openai}, "/v1/images/generations", server=ADMIN)) as manager,
    ):
        url = await manager.generate_image("A beautiful sunset")
    head, _, encoded = url.partition(",")
    assert head == "data:image/png;base64"
    assert b64decode(encoded).startswith(b"\x89PNG")


async def test_an_image_that_cannot_be_had_is_an_error(manager, p1):
    p1.fault = "status:500"
    result = await manager.generate_image("A beautiful sunset")
    assert (result["code"], result["status"]) == ("all_providers_failed", 502)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"messages": []}, ValueError),
        ({"messages": "hello"}, TypeError),
        ({"messages": HELLO, "timeout": 0}, ValueError),
        ({"messages": HELLO, "timeout": float("nan")}, ValueError),
        ({"messages": HELLO, "stream": True}, TypeError),
        ({"messages": HELLO, "stop": {1, 2}}, TypeError),
        ({"messages": HELLO, "preferred_provider": "a\r\nb: c"}, ValueError),
    ],
)
async def test_what_cannot_be_meant_is_raised_and_never_sent(manager, p1, arguments, error):
    with pytest.raises(error):
        await manager.generate_text(**arguments)
    assert not p1.requests


async def test_an_image_without_a_prompt_cannot_be_meant(manager):
    with pytest.raises(ValueError, match="prompt"):
        await manager.generate_image(" ")
