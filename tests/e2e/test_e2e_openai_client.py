"""OpenAI's own package, sync and async, against sidestep: what an app that changes only its base URL gets."""

import asyncio
import base64
import io
import json

import openai
import pytest
from lab import tokens
from lab.configuration import CHAT, provider, refusing, routes
from lab.fault import status
from lab.images import picture
from lab.sidecar import running
from lab.upstream import Upstream
from openai import AsyncOpenAI, OpenAI
from PIL import Image

EMBEDDINGS, IMAGES, COMPLETIONS = "/v1/embeddings", "/v1/images/generations", "/v1/completions"
QUESTION = {"model": "small", "messages": [{"role": "user", "content": "nonce-1"}]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"echo": {"type": "string"}}}},
}
FORM = {"type": "json_schema", "json_schema": {"name": "form", "schema": {"type": "object"}}}


@pytest.fixture
async def sidecar(p1, p2):
    pair = {
        "p1": provider(p1, models={"small": "p1-small", "default": "p1-large"}),
        "p2": provider(p2, models={"small": "p2-small", "fallback/large": "p2-large"}),
    }
    async with running(routes(pair, CHAT, EMBEDDINGS, IMAGES, COMPLETIONS)) as sidecar:
        yield sidecar


@pytest.fixture
async def client(sidecar):
    async with AsyncOpenAI(base_url=sidecar.url, api_key="none", max_retries=0) as client:
        yield client


async def in_thread(sidecar, work):
    """Use the synchronous client as a synchronous app does: on a thread of its own."""

    def run():
        with OpenAI(base_url=sidecar.url, api_key="none", max_retries=0) as client:
            return work(client)

    return await asyncio.to_thread(run)


# Answers


async def test_a_chat_completion(p1, client):
    answer = await client.chat.completions.create(**QUESTION, temperature=0.5, extra_body={"unknown": {"deep": [1]}})
    assert tokens.read(answer.choices[0].message.content).echo == "nonce-1"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    assert p1.requests[0].document == QUESTION | {
        "model": "p1-small",
        "temperature": 0.5,
        "unknown": {"deep": [1]},
    }


async def test_a_chat_completion_with_the_synchronous_client(sidecar):
    answer = await in_thread(sidecar, lambda client: client.chat.completions.create(**QUESTION))
    assert tokens.read(answer.choices[0].message.content).echo == "nonce-1"


async def test_a_stream_with_the_synchronous_client(sidecar):
    def work(client):
        with client.chat.completions.create(**QUESTION, stream=True) as stream:
            return [chunk for chunk in stream if chunk.choices]

    chunks = await in_thread(sidecar, work)
    assert tokens.read("".join(chunk.choices[0].delta.content or "" for chunk in chunks)).echo == "nonce-1"
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_stream_with_usage_when_it_was_asked_for(client):
    stream = await client.chat.completions.create(**QUESTION, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5


async def test_the_client_s_own_stream_helper_accumulates(client):
    async with client.chat.completions.stream(**QUESTION) as stream:
        events = [event.type async for event in stream]
        answer = await stream.get_final_completion()
    assert tokens.read(answer.choices[0].message.content).echo == "nonce-1"
    assert "content.delta" in events


@pytest.mark.parametrize("fault", ["ok", "status:500"], ids=["primary", "failed over"])
async def test_tools_go_out_and_their_calls_and_results_come_back(fault, p1, client):
    p1.fault = fault
    first = await client.chat.completions.create(**QUESTION, tools=[WEATHER], tool_choice="auto")
    (call,) = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)["echo"]) == ("weather", "nonce-1")
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    messages = [*QUESTION["messages"], first.choices[0].message.model_dump(exclude_none=True), result]
    second = await client.chat.completions.create(model="small", messages=messages, tools=[WEATHER])
    assert tokens.read(second.choices[0].message.content).echo == "nonce-1"


@pytest.mark.parametrize("fault", ["ok", "role_then_error"], ids=["primary", "failed over"])
async def test_a_streamed_tool_call_comes_in_pieces_that_fit(fault, p1, client):
    p1.fault = fault
    async with client.chat.completions.stream(**QUESTION, tools=[WEATHER]) as stream:
        answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"echo": "nonce-1", "by": "p1" if fault == "ok" else "p2"}


async def test_a_response_format_is_passed_on(p1, client):
    answer = await client.chat.completions.create(**QUESTION, response_format=FORM)
    assert tokens.read(json.loads(answer.choices[0].message.content)["text"]).echo == "nonce-1"
    assert p1.requests[0].document["response_format"] == FORM


async def test_pictures_in_a_question_are_passed_on_and_never_fetched(p1, p2, client):
    image = {"type": "image_url", "image_url": {"url": f"{p2.url}/internal.png"}}
    parts = [{"type": "text", "text": "nonce-2"}, image]
    answer = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": parts}])
    assert tokens.read(answer.choices[0].message.content).echo == "nonce-2"
    assert p1.requests[0].document["messages"][0]["content"] == parts
    assert not p2.requests


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_embeddings_in_both_encodings(form, client):
    answer = await client.embeddings.create(model="small", input=["a", "b"], encoding_format=form)
    assert [entry.index for entry in answer.data] == [0, 1]
    size = {"float": 8, "base64": 44}[form]
    assert len(answer.data[0].embedding) == size


async def test_embeddings_as_the_client_asks_for_them_by_itself(p1, client):
    p1.fault = "status:503"
    answer = await client.embeddings.create(model="small", input="a")
    assert len(answer.data[0].embedding) == 8


async def test_a_legacy_completion(client):
    answer = await client.completions.create(model="small", prompt="nonce-3")
    assert tokens.read(answer.choices[0].text).echo == "nonce-3"


async def test_the_models_are_those_of_the_configuration(p1, p2, client):
    names = [model.id async for model in client.models.list()]
    assert names == ["small", "p1-large", "fallback/large"]
    assert (await client.models.retrieve("fallback/large")).owned_by == "p2"
    with pytest.raises(openai.NotFoundError) as refusal:
        await client.models.retrieve("nobody's")
    assert refusal.value.code == "model_not_found"
    assert not p1.requests + p2.requests


# Pictures, over Pollinations' GET


@pytest.fixture
async def painter():
    async with Upstream("painter", flavour="pollinations") as upstream:
        yield upstream


@pytest.fixture
async def painting(painter):
    paint = provider(painter, api_key="token-of-ours", models={"default": "flux"})
    async with (
        running(routes({"painter": paint}, IMAGES)) as sidecar,
        AsyncOpenAI(base_url=sidecar.url, api_key="none", max_retries=0) as client,
    ):
        yield client


async def test_a_picture_as_base64(painter, painting):
    answer = await painting.images.generate(prompt="a cat/../dog? #1", size="64x32", model="any")
    painted = base64.b64decode(answer.data[0].b64_json)
    assert Image.open(io.BytesIO(painted)).size == (64, 32)
    assert painted == picture(64, 32, "a cat/../dog? #1")
    assert painter.requests[0].path == "/prompt/a%20cat%2F..%2Fdog%3F%20%231"
    assert painter.requests[0].headers.get("authorization") == "Bearer token-of-ours"


async def test_a_picture_as_a_url_that_carries_no_token(painter, painting):
    answer = await painting.images.generate(prompt="a cat", size="64x64", response_format="url", model="any")
    assert answer.data[0].url == f"{painter.url}{painter.requests[0].target}"
    assert "token-of-ours" not in answer.data[0].url


@pytest.mark.parametrize("fault", ["not_an_image", "error_body", "html", "truncated"])
async def test_what_is_no_picture_is_an_error_and_is_painted_once(fault, painter, painting):
    painter.fault = fault
    with pytest.raises(openai.InternalServerError) as failure:
        await painting.images.generate(prompt="a cat", model="any")
    assert failure.value.status_code == 502
    assert len(painter.requests) == 1, "each may be billed"


# Errors


async def test_the_client_s_own_retries_do_not_multiply_ours(p1, p2, sidecar):
    p1.fault = p2.fault = "status:500"
    async with AsyncOpenAI(base_url=sidecar.url, api_key="none", max_retries=3) as client:
        with pytest.raises(openai.InternalServerError) as failure:
            await client.chat.completions.create(**QUESTION)
    assert failure.value.status_code == 502
    assert failure.value.body["code"] == "all_providers_failed"
    assert len(p1.requests) + len(p2.requests) == 2


async def test_a_missing_or_wrong_key_is_an_authentication_error(p1):
    async with running(routes({"p1": p1}, server={"client_keys": ["right"]})) as sidecar:
        for key, wanted in {"wrong": 401, "right": 200}.items():
            async with AsyncOpenAI(base_url=sidecar.url, api_key=key, max_retries=0) as client:
                if wanted == 200:
                    await client.chat.completions.create(**QUESTION)
                    continue
                with pytest.raises(openai.AuthenticationError) as refusal:
                    await client.chat.completions.create(**QUESTION)
                assert refusal.value.code == "invalid_client_key"
    assert len(p1.requests) == 1
    assert p1.requests[0].headers.get("authorization") is None, "a client's key is never a provider's"


async def test_a_path_without_a_route_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refusal:
        await client.moderations.create(model="small", input="x")
    assert refusal.value.code == "no_route"


async def test_a_model_that_nobody_has_is_not_found(p1):
    pair = {"p1": provider(p1, models={"small": "p1-small"}), "p2": refusing(models={"small": "p2-small"})}
    async with running(routes(pair)) as sidecar, AsyncOpenAI(base_url=sidecar.url, api_key="none") as client:
        with pytest.raises(openai.NotFoundError) as refusal:
            await client.chat.completions.create(**QUESTION | {"model": "huge"})
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")
    assert not p1.requests


async def test_a_provider_s_verdict_on_the_request_is_passed_on_word_for_word(p1, p2, sidecar):
    verdict = {"error": {"message": "'n' is too big", "type": "invalid_request_error", "param": "n", "code": "bad_n"}}
    body = json.dumps(verdict, indent=3).encode()
    p1.fault = status(400, verdict)
    async with AsyncOpenAI(base_url=sidecar.url, api_key="none", max_retries=2) as client:
        with pytest.raises(openai.BadRequestError) as refusal:
            await client.chat.completions.create(**QUESTION)
        assert refusal.value.body == verdict["error"]
    p1.fault = status(400, body)
    response = await sidecar.chat("nonce-1")
    assert response.body == body, "byte for byte"
    assert len(p1.requests) == 2
    assert not p2.requests


async def test_a_rate_limit_of_all_tells_when_to_come_back(p1, p2, client):
    p1.fault, p2.fault = status(429, retry_after="7"), status(429, retry_after="30")
    with pytest.raises(openai.RateLimitError) as refusal:
        await client.chat.completions.create(**QUESTION)
    headers = refusal.value.response.headers
    assert refusal.value.code == "rate_limited"
    assert headers["retry-after"] == "7"
    assert 6000 < int(headers["retry-after-ms"]) <= 7000


async def test_a_deadline_is_a_504(p1, client):
    p1.fault = "hang"
    with pytest.raises(openai.InternalServerError) as failure:
        await client.chat.completions.create(**QUESTION, extra_headers={"x-sidestep-timeout": "0.2"})
    assert failure.value.status_code == 504
    assert failure.value.body["code"] == "deadline_exceeded"


async def test_nobody_to_ask_is_a_503(p1):
    disabled = routes({"p1": provider(p1, enabled=False)})
    async with running(disabled) as sidecar, AsyncOpenAI(base_url=sidecar.url, api_key="x", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as failure:
            await client.chat.completions.create(**QUESTION)
    assert failure.value.status_code == 503
    assert failure.value.body["code"] == "no_provider_available"
