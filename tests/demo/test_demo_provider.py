"""The simulated provider does what its behaviour says, seen by an ordinary client."""

import asyncio
import json

import aiohttp
import pytest

from proxy.clock import SystemClock
from proxy.demo.provider import Behaviour, SimulatedProvider

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


@pytest.fixture
async def provider():
    async with SimulatedProvider("simulated", SystemClock()) as provider:
        yield provider


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(session, provider, **more):
    async with session.post(f"{provider.base_url}/chat/completions", json=QUESTION | more) as response:
        return response, await response.read()


def words(body):
    chunks = [json.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


async def test_it_answers_with_what_it_heard(provider, session):
    _, body = await ask(session, provider)
    assert json.loads(body)["choices"][0]["message"]["content"].endswith("one two three")


async def test_it_streams_the_same_answer_and_ends_with_done(provider, session):
    response, body = await ask(session, provider, stream=True)
    assert (response.content_type, body.endswith(b"data: [DONE]\n\n")) == ("text/event-stream", True)
    assert words(body).endswith("one two three")


async def test_it_lists_its_model(provider, session):
    async with session.get(f"{provider.base_url}/models") as response:
        assert (await response.json())["data"][0]["id"] == "simulated"


async def test_a_question_without_messages_is_the_clients_fault(provider, session):
    async with session.post(f"{provider.base_url}/chat/completions", json={}) as response:
        assert response.status == 400


@pytest.mark.parametrize(("behaviour", "status"), [("error", 500), ("limited", 429), ("soft", 200)])
async def test_it_refuses_in_the_words_of_its_behaviour(provider, session, behaviour, status):
    await provider.behave(Behaviour(behaviour))
    response, body = await ask(session, provider)
    assert (response.status, "error" in json.loads(body)) == (status, True)


async def test_limited_it_says_when_to_come_back(provider, session):
    await provider.behave(Behaviour.LIMITED)
    response, _ = await ask(session, provider)
    assert response.headers["retry-after"] == "2"


async def test_down_it_refuses_connections(provider, session):
    await provider.behave(Behaviour.DOWN)
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(session, provider)


async def test_down_it_does_not_answer_over_a_connection_that_was_open_before(provider, session):
    await ask(session, provider)
    await provider.behave(Behaviour.DOWN)
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(session, provider)


async def test_down_and_up_again_it_answers_on_the_same_port(provider, session):
    before = provider.base_url
    await provider.behave(Behaviour.DOWN)
    await provider.behave(Behaviour.HEALTHY)
    response, _ = await ask(session, provider)
    assert (response.status, provider.base_url) == (200, before)


async def test_dying_it_lets_a_stream_that_speaks_finish(provider, session):
    question = QUESTION | {"stream": True}
    async with session.post(f"{provider.base_url}/chat/completions", json=question) as response:
        begun = await response.content.readany()
        await provider.behave(Behaviour.DOWN)
        body = begun + await response.content.read()
    assert body.endswith(b"data: [DONE]\n\n")


async def test_dying_it_cuts_off_a_question_that_it_has_not_begun_to_answer(provider, session):
    await provider.behave(Behaviour.HANG)
    asking = asyncio.ensure_future(ask(session, provider))
    while not provider.waiting:
        await asyncio.wait({asking}, timeout=0.01)
    await provider.behave(Behaviour.DOWN)
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking


async def test_it_can_be_taken_down_while_a_question_hangs(session):
    async with SimulatedProvider("simulated", SystemClock()) as provider:
        await provider.behave(Behaviour.HANG)
        asking = asyncio.ensure_future(ask(session, provider))
        while not provider.waiting:
            await asyncio.wait({asking}, timeout=0.01)
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking


async def test_a_question_that_hung_is_answered_once_it_is_healthy_again(provider, session):
    await provider.behave(Behaviour.HANG)
    asking = asyncio.ensure_future(ask(session, provider))
    while not provider.waiting:
        await asyncio.wait({asking}, timeout=0.01)
    await provider.behave(Behaviour.HEALTHY)
    response, _ = await asking
    assert response.status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_cutting_it_hangs_up_in_the_middle(provider, session, stream):
    await provider.behave(Behaviour.CUT)
    with pytest.raises(aiohttp.ClientError):
        await ask(session, provider, stream=stream)
