"""What an answer holds: degraded ones, usage that was or was not asked for, and bytes that nobody touched."""

import json

import pytest
from lab.client import RawClient, request
from lab.configuration import CHAT, provider, refusing, routes
from lab.replies import ours
from lab.sidecar import chat, running

# Degradation


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_static_answer_stands_in_when_everybody_failed(stream, p1, p2, pair):
    p1.fault = p2.fault = "status:500"
    async with running(pair, degrade=[{"static": "Please try again later."}]) as sidecar:
        response = await sidecar.chat("a", stream=stream)
        assert await sidecar.metric("sidestep_requests_total", outcome="degraded") == 1
    assert response.status == 200
    assert ours(response)["degraded"] == "static"
    if stream:
        *events, done = response.events()
        said = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
        assert done == "[DONE]"
    else:
        said = response.json()["choices"][0]["message"]["content"]
    assert said == "Please try again later."


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_another_model_may_answer_when_nobody_serves_the_first(stream, p1, p2):
    pair = {"p1": provider(p1, models={"large": "large", "small": "small"}), "p2": refusing()}
    p1.schedule = ["status:500", "ok"]
    async with running(routes(pair), degrade=[{"model": "small"}]) as sidecar:
        response = await sidecar.chat("a", model="large", stream=stream)
    assert response.status == 200
    assert ours(response)["degraded"] == "model"
    assert [one.document["model"] for one in p1.requests] == ["large", "small"]


# Usage and bytes


async def test_usage_is_asked_for_and_kept_from_a_client_that_did_not_ask(p1, pair):
    async with running(pair) as sidecar:
        response = await sidecar.chat("a", stream=True)
        assert await sidecar.metric("sidestep_tokens_total", provider="p1", type="output") == 5
    assert p1.requests[0].document["stream_options"] == {"include_usage": True}
    assert b"usage" not in response.body
    assert response.events()[-1] == "[DONE]"


@pytest.mark.parametrize("fault", ["ok", "sse_crlf", "sse_bom", "sse_no_space", "sse_multiline", "sse_bytes"])
async def test_a_stream_that_needs_no_rewriting_passes_byte_for_byte(fault, p1, pair):
    wants = {"stream": True, "stream_options": {"include_usage": True}}
    async with running(pair) as sidecar:
        p1.fault = fault
        through = await sidecar.chat("a", **wants)
    async with RawClient(p1.port) as client:
        direct = await client.ask(request(document=chat("a", **wants)))
    assert through.body == direct.body.replace(b"p1-2", b"p1-1").replace(b"p1:2:", b"p1:1:")


async def test_a_plain_answer_passes_byte_for_byte_and_so_does_the_question(p1, pair):
    body = '{"model":"small" ,\n "messages":[{"role":"user","content":"\\u00e9 é"}], "x": 1.50}'.encode()
    async with running(pair) as sidecar, RawClient(sidecar.port) as client:
        response = await client.ask(request(target=CHAT, body=body, headers={"Content-Type": "application/json"}))
    assert p1.requests[0].body == body
    assert response.body.startswith(b'{"id": "chatcmpl-p1-1", "object"')


async def test_silence_is_filled_with_comments_between_events_and_still_ends_when_idle(p1, pair):
    p1.fault = "stall:2"
    async with running(pair, streaming={"keepalive": "50ms"}) as sidecar:
        response = await sidecar.chat("a", stream=True)
    assert response.body.count(b": keep-alive\n\n") >= 2
    assert json.loads(response.events()[-1])["error"]["code"] == "stream_stalled"


async def test_a_policy_may_have_a_broken_stream_end_in_a_reset(p1, pair):
    p1.fault = "cut:2"
    async with running(pair, streaming={"on_break": "abort"}) as sidecar:
        response = await sidecar.chat("a", stream=True)
    assert not response.complete
    assert b"[DONE]" not in response.body
