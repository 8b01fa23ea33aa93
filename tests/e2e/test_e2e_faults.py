"""Every way in which the primary breaks, seen by OpenAI's own client: the right answer, or the one right exception."""

import asyncio
import json

import pytest
from lab import tokens
from lab.configuration import provider, routes
from lab.sidecar import running
from lab.ways import AFTER, BEFORE, cases, strike
from openai import APIError, AsyncOpenAI

NEVER = 10.0
"""Seconds after which a request hangs; every clock of the policy is far shorter."""


IMPATIENT = {"timeout": "150ms"}
"""For a provider that will not answer anyway; the healthy one is given time, as the machine may be busy."""
PATIENT = {"connect": "1s", "first_output": "5s", "idle": "200ms", "total": "8s"}
ROLE_FIRST = {"200 and cut before the first token", "role, then an error", "role, then silence"}
"""With nobody left to ask, nothing is held back: a role that arrives by itself is shown, and a stream breaks then."""


@pytest.fixture
async def sidecar(p1, p2):
    async with running(routes({"p1": provider(p1, **IMPATIENT), "p2": p2}), timeouts=PATIENT) as sidecar:
        yield sidecar


@pytest.fixture
async def client(sidecar):
    async with AsyncOpenAI(base_url=sidecar.url, api_key="none", max_retries=0, timeout=NEVER) as client:
        yield client


def question(text):
    return {"model": "small", "messages": [{"role": "user", "content": text}]}


async def text_of(stream):
    """The text that came, and the error that ended it."""
    pieces = []
    try:
        async for chunk in stream:
            pieces += [choice.delta.content or "" for choice in chunk.choices]
    except APIError as error:
        return "".join(pieces), error
    return "".join(pieces), None


@pytest.mark.parametrize("case", cases(BEFORE | AFTER), ids=str)
async def test_a_plain_request_is_answered_by_the_other_provider(case, p1, p2, sidecar, client):
    await strike(p1, case)
    answer = await client.chat.completions.create(**question("nonce-17"))
    told = tokens.read(answer.choices[0].message.content)
    assert (told.provider, told.count, told.echo) == ("p2", 5, "nonce-17")
    assert answer.choices[0].finish_reason == "stop"
    assert len(p1.requests) <= 1
    assert len(p2.requests) == 1


@pytest.mark.parametrize("case", cases(BEFORE), ids=str)
async def test_a_stream_that_broke_before_its_first_output_is_the_other_provider_s_alone(case, p1, p2, client):
    await strike(p1, case)
    stream = await client.chat.completions.create(**question("nonce-18"), stream=True)
    text, error = await text_of(stream)
    told = tokens.read(text)
    assert (told.provider, told.count, told.echo, error) == ("p2", 5, "nonce-18", None)
    assert len(p1.requests) <= 1
    assert len(p2.requests) == 1


@pytest.mark.parametrize("case", cases(AFTER), ids=str)
async def test_a_stream_that_broke_after_it_raises_where_it_broke(case, p1, p2, client):
    await strike(p1, case)
    stream = await client.chat.completions.create(**question("nonce-19"), stream=True)
    text, error = await text_of(stream)
    told = tokens.read(text)
    assert (told.provider, told.echo) == ("p1", None)
    assert told.count == {"cut:1": 1, "cut:3": 3}.get(case.fault, 2)
    assert isinstance(error, APIError)
    assert error.body["sidestep"]["attempts"][0]["provider"] == "p1"
    assert not p2.requests, "nothing is asked anew once tokens were shown"


@pytest.mark.parametrize("case", cases(AFTER), ids=str)
async def test_a_broken_stream_ends_with_one_error_frame_and_no_done(case, p1, sidecar):
    await strike(p1, case)
    async with asyncio.timeout(NEVER):
        response = await sidecar.chat("nonce-20", stream=True)
    *events, last = response.events()
    assert response.complete, "the frame says what happened; the framing of HTTP stays whole"
    assert set(json.loads(last)) == {"error"}
    assert not [event for event in events if "error" in json.loads(event)]
    assert "[DONE]" not in response.body.decode()


@pytest.mark.parametrize("case", cases(BEFORE | AFTER), ids=str)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_when_both_are_broken_the_client_hears_it_once_and_in_time(case, stream, p1, p2):
    pair = routes({"p1": provider(p1, **IMPATIENT), "p2": provider(p2, **IMPATIENT)})
    await strike(p1, case)
    await strike(p2, case)
    async with running(pair, timeouts=PATIENT) as sidecar, asyncio.timeout(NEVER):
        response = await sidecar.chat("nonce-21", stream=stream)
    if response.status == 200:
        assert stream
        assert case.name in AFTER.keys() | ROLE_FIRST
        error = json.loads(response.events()[-1])["error"]
    else:
        assert response.status == {"429 with Retry-After": 429}.get(case.name, 502)
        error = response.json()["error"]
    assert error["sidestep"]["request_id"] == response.headers.get("x-request-id")
    assert "[DONE]" not in response.body.decode()
    assert len(p1.requests) + len(p2.requests) <= 4
