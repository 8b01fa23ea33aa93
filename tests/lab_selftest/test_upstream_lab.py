"""The lab keeps its promises: an ordinary client sees of every fault what the fault's docstring says."""

import asyncio
import base64
import io
import json
import struct

import aiohttp
import pytest
from lab import http1, tokens
from lab.client import RawClient, request
from lab.fault import AT_CONNECT, BEFORE_BODY, FAULTS, Fault, status
from lab.ports import unused_port
from lab.upstream import Upstream
from PIL import Image

CHAT = "/v1/chat/completions"
QUESTION = "wie viele Äpfel? 🍏"
PATIENCE = 0.1
"""Seconds after which silence counts as silence."""


@pytest.fixture
async def upstream():
    async with Upstream("p1") as upstream:
        yield upstream


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), auto_decompress=False) as session:
        yield session


def ask(*, stream=False, **more):
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": QUESTION}], **more}


def text_of(events):
    """Join a stream's content; events may be repeated lines of one JSON document."""
    chunks = [json.loads(data) for data in events if data != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", []))


async def post(session, upstream, document, path=CHAT):
    """Post and read everything; returns status, headers and body."""
    async with session.post(upstream.url + path, json=document, allow_redirects=False) as response:
        return response.status, response.headers, await response.read()


async def stream_of(upstream, name, **more):
    """Ask for a stream under a fault, over a raw connection; returns the response, complete or not."""
    upstream.fault = name
    async with RawClient(upstream.port) as client:
        return await client.ask(request(document=ask(stream=True, **more)))


# The honest provider


async def test_a_plain_answer_holds_every_token_and_echoes_the_question(session, upstream):
    _, _, body = await post(session, upstream, ask())
    told = tokens.read(json.loads(body)["choices"][0]["message"]["content"])
    assert told == tokens.Told("p1", 1, 5, QUESTION)


async def test_a_stream_carries_the_same_text_and_ends_with_done(upstream):
    response = await stream_of(upstream, "ok")
    assert response.complete
    assert response.events()[-1] == "[DONE]"
    assert tokens.read(text_of(response.events())) == tokens.Told("p1", 1, 5, QUESTION)


@pytest.mark.parametrize(("options", "chunks"), [({}, 0), ({"stream_options": {"include_usage": True}}, 1)])
async def test_usage_is_streamed_only_to_who_asked(upstream, options, chunks):
    response = await stream_of(upstream, "ok", **options)
    assert sum('"usage"' in data for data in response.events()) == chunks


async def test_offered_tools_are_called_with_arguments_that_echo(session, upstream):
    tool = {"type": "function", "function": {"name": "count", "parameters": {}}}
    _, _, body = await post(session, upstream, ask(tools=[tool]))
    (call,) = json.loads(body)["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"echo": QUESTION, "by": "p1"}


async def test_a_streamed_tool_call_comes_in_pieces_that_join_to_its_arguments(upstream):
    tool = {"type": "function", "function": {"name": "count", "parameters": {}}}
    response = await stream_of(upstream, "ok", tools=[tool])
    deltas = [json.loads(data)["choices"][0]["delta"] for data in response.events() if data != "[DONE]"]
    pieces = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", [])]
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"echo": QUESTION, "by": "p1"}


async def test_json_mode_answers_json(session, upstream):
    _, _, body = await post(session, upstream, ask(response_format={"type": "json_object"}))
    assert tokens.read(json.loads(json.loads(body)["choices"][0]["message"]["content"])["text"]).echo == QUESTION


async def test_embeddings_are_the_same_numbers_as_floats_and_as_base64(session, upstream):
    document = {"model": "m", "input": ["a", "b"]}
    _, _, floats = await post(session, upstream, document, "/v1/embeddings")
    _, _, packed = await post(session, upstream, document | {"encoding_format": "base64"}, "/v1/embeddings")
    unpacked = [list(struct.unpack("<8f", base64.b64decode(item["embedding"]))) for item in json.loads(packed)["data"]]
    assert unpacked == [item["embedding"] for item in json.loads(floats)["data"]]


async def test_the_image_host_paints_a_jpeg_of_the_asked_size_around_the_prompt(session, upstream):
    async with session.get(upstream.url + "/prompt/a%20red%2Fblue%20cat?width=96&height=32&seed=1") as response:
        painted = Image.open(io.BytesIO(await response.read()))
    assert (painted.format, painted.size, painted.info["comment"]) == ("JPEG", (96, 32), b"a red/blue cat")


@pytest.mark.parametrize(
    ("path", "document", "key"),
    [
        ("/v1/images/generations", {"prompt": "cat", "size": "8x8"}, "data"),
        ("/v1/completions", {"prompt": "cat"}, "choices"),
        ("/v1/responses", {"input": "cat"}, "output"),
        ("/v1/moderations", {"input": "cat"}, "results"),
        ("/v1/audio/transcriptions", {}, "text"),
        ("/openai", ask(), "choices"),
    ],
)
async def test_every_endpoint_is_served(session, upstream, path, document, key):
    code, _, body = await post(session, upstream, document, path)
    assert code == 200
    assert json.loads(body)[key]


async def test_speech_is_bytes_and_models_are_listed(session, upstream):
    _, headers, body = await post(session, upstream, {"input": "hello"}, "/v1/audio/speech")
    assert (headers["Content-Type"], body[:3]) == ("audio/mpeg", b"ID3")
    async with session.get(upstream.url + "/v1/models") as response:
        assert (await response.json())["data"][0]["owned_by"] == "p1"


@pytest.mark.parametrize(
    ("flavour", "key"), [("openai", "type"), ("openrouter", "metadata"), ("gen", "timestamp"), ("pollinations", None)]
)
async def test_errors_have_the_shape_of_their_flavour(session, flavour, key):
    async with Upstream(flavour=flavour, fault="status:429") as upstream:
        code, _, body = await post(session, upstream, ask())
    error = json.loads(body)["error"]
    assert code == 429
    assert isinstance(error, str) if key is None else key in error


async def test_openrouter_names_its_host_and_comments_while_it_thinks():
    async with Upstream(flavour="openrouter") as upstream:
        response = await stream_of(upstream, "ok")
    assert response.body.startswith(b": OPENROUTER PROCESSING\n\n")
    assert json.loads(response.events()[0])["provider"] == "LabHost"


# Faults of statuses and contents


@pytest.mark.parametrize(
    ("name", "code", "start"),
    [
        ("status:503", 503, b'{"error"'),
        ("status_html", 502, b"<!DOCTYPE html>"),
        ("status_empty:504", 504, b""),
        ("status_text", 530, b"error code: 1033"),
        ("redirect:http://127.0.0.1:1/", 307, b""),
        ("error_body", 200, b'{"error"'),
        ("html", 200, b"<!DOCTYPE html>"),
        ("empty_body", 200, b""),
        ("not_json", 200, b'{"choices": [{"message"'),
        ("wrong_type", 200, b'{"id"'),
        ("not_an_image", 200, b"Rate limit reached"),
        ("false_gzip", 200, b'{"id"'),
        ("gzipped", 200, b"\x1f\x8b"),
        ("gzip_bomb:1", 200, b"\x1f\x8b"),
        ("slow_headers:0", 200, b'{"id"'),
        ("slow_body:0", 200, b'{"id"'),
        ("latency:0.01", 200, b'{"id"'),
        ("early_hints", 200, b'{"id"'),
        ("huge_body:1", 200, b'{"filler": "xxx'),
        ("status_line:999", 999, b'{"id"'),
    ],
)
async def test_what_is_said_is_what_was_promised(session, upstream, name, code, start):
    upstream.fault = name
    seen, _, body = await post(session, upstream, ask())
    assert seen == code
    assert body.startswith(start)
    assert body or not start


async def test_a_status_takes_its_own_headers_and_body(session, upstream):
    upstream.fault = status(429, {"detail": "later"}, retry_after="7")
    code, headers, body = await post(session, upstream, ask())
    assert (code, headers["retry-after"], json.loads(body)) == (429, "7", {"detail": "later"})


@pytest.mark.parametrize(
    ("name", "judge"),
    [
        ("empty_choices", lambda document: document["choices"] == []),
        ("null_content", lambda document: document["choices"][0]["message"]["content"] is None),
        ("empty_content", lambda document: document["choices"][0]["message"]["content"] == ""),
        ("choice_error", lambda document: document["choices"][0]["error"]["code"] == 502),
        ("balance_notice", lambda document: document["usage"]["total_tokens"] == 0),
    ],
)
async def test_a_good_looking_200_is_no_answer(session, upstream, name, judge):
    upstream.fault = name
    code, _, body = await post(session, upstream, ask())
    assert code == 200
    assert judge(json.loads(body))


# Faults of the connection


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "reset_on_connect",
        "close_on_connect",
        "reset",
        "reset_in_headers",
        "reset_after_headers",
        "close",
        "close_in_headers",
        "close_after_headers",
        "truncated",
        "truncated_reset",
        "cut",
        "cut_reset",
        "cut_in_event",
        "role_then_close",
        "double_length",
        "bad_chunk",
        "header_nul",
        "garbage",
        "endless_header",
        "endless_headers",
        "status_line:99",
    ],
)
async def test_a_broken_connection_or_framing_is_a_client_error(session, upstream, name, stream):
    upstream.fault = name
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await post(session, upstream, ask(stream=stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "name",
    ["hang_on_connect", "hang", "hang_after_headers", "stall", "stall_with_comments", "role_then_stall", "comments"],
)
async def test_silence_lasts_until_the_client_leaves_and_the_log_says_that_it_left(session, upstream, name, stream):
    upstream.fault = name
    with pytest.raises(TimeoutError):
        await session.post(
            upstream.url + CHAT,
            json=ask(stream=stream),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
            raise_for_status=reading,
        )
    await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.connections[-1].closed_by == "client"


async def reading(response):
    """Read a whole response while the request's deadline runs."""
    await response.read()


async def test_a_cut_without_framing_looks_complete(session, upstream):
    upstream.fault = "cut_close_delimited"
    _, _, body = await post(session, upstream, ask())
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_a_kept_connection_is_reset_when_it_is_used_again(upstream):
    upstream.fault = "close_on_reuse"
    async with RawClient(upstream.port) as client:
        assert (await client.ask(request(document=ask()))).complete
        with pytest.raises((ConnectionError, http1.IncompleteMessage)):
            await client.ask(request(document=ask()))
    assert len(upstream.requests) == 1


async def test_an_idle_connection_is_closed_by_the_upstream(upstream):
    upstream.fault = "close_idle"
    async with RawClient(upstream.port) as client:
        assert (await client.ask(request(document=ask()))).complete
        assert await client.closed(within=2)
    assert upstream.connections[0].closed_by == "upstream"


async def test_an_early_answer_comes_while_the_upload_still_runs(upstream):
    upstream.fault = "early_answer"
    async with RawClient(upstream.port) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\nabc")
        assert (await client.response()).status == 413


async def test_an_upstream_that_stops_reading_blocks_the_upload(upstream):
    upstream.fault = "stop_reading"
    async with RawClient(upstream.port) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 64000000\r\n\r\n" + b"x" * 64_000_000)
        client.abort()


async def test_bytes_beyond_the_content_length_stand_where_the_next_answer_should(upstream):
    upstream.fault = "wrong_length"
    async with RawClient(upstream.port) as client:
        assert (await client.ask(request(document=ask()))).complete
        assert len(await client.reader.read(100)) == 10


@pytest.mark.parametrize(("name", "code"), [("switching", 101), ("no_content", 204)])
async def test_a_status_without_a_body_is_followed_by_bytes_all_the_same(upstream, name, code):
    upstream.fault = name
    async with RawClient(upstream.port) as client:
        assert (await client.ask(request(document=ask()))).status == code
        assert await client.reader.read(5)


@pytest.mark.parametrize(("name", "line"), [("length_and_chunked", "content-length"), ("header_cr", "x-odd")])
async def test_false_headers_stand_on_the_wire(upstream, name, line):
    upstream.fault = name
    async with RawClient(upstream.port) as client:
        assert line in (await client.ask(request(document=ask()))).headers


# Faults of streams


@pytest.mark.parametrize(
    ("name", "count", "done"),
    [
        ("cut:3", 3, False),
        ("cut_clean:3", 3, False),
        ("cut_stream_close_delimited:3", 3, False),
        ("error_mid:3", 3, False),
        ("error_mid_string:3", 3, False),
        ("error_mid_done:3", 3, True),
        ("done_without_finish:3", 3, True),
        ("cut_reset:3", 3, False),
        ("tokens:20", 20, True),
        ("pace:0", 5, True),
        ("comments_first:3", 5, True),
        ("no_done", 5, False),
    ],
)
async def test_a_stream_stops_after_so_many_tokens(upstream, name, count, done):
    response = await stream_of(upstream, name)
    assert tokens.read(text_of(response.events())).count == count
    assert ("[DONE]" in response.events()) is done


@pytest.mark.parametrize("name", ["role_then_error", "error_event_first"])
async def test_an_error_event_comes_before_any_output(upstream, name):
    response = await stream_of(upstream, name)
    assert "error" in json.loads(response.events()[-1])
    assert text_of(response.events()) == ""


@pytest.mark.parametrize(("name", "size"), [("empty_stream", 0), ("huge_event:1", 2**20)])
async def test_a_stream_may_hold_nothing_or_too_much(upstream, name, size):
    response = await stream_of(upstream, name)
    assert response.complete
    assert max((len(data) for data in response.events()), default=0) >= size


async def test_an_event_may_be_no_json(upstream):
    response = await stream_of(upstream, "bad_event")
    with pytest.raises(json.JSONDecodeError):
        text_of(response.events())


async def test_an_event_may_be_cut_in_its_middle(upstream):
    response = await stream_of(upstream, "cut_in_event")
    assert not response.body.endswith(b"\n\n")


@pytest.mark.parametrize("name", sorted(name for name in FAULTS if name.startswith("sse_")))
async def test_every_odd_way_of_writing_events_carries_the_whole_text(upstream, name):
    response = await stream_of(upstream, name)
    text = response.body.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line[5:].strip() for line in text.split("\n") if line.startswith("data:")]
    joined = "".join(lines).replace("[DONE]", "")
    decoder, position, said = json.JSONDecoder(), 0, []
    while position < len(joined):
        document, position = decoder.raw_decode(joined, position)
        said += [choice["delta"].get("content") or "" for choice in document["choices"]]
    assert tokens.read("".join(said)) == tokens.Told("p1", 1, 5, QUESTION)


# Choosing and logging


async def test_a_model_name_chooses_the_fault_unless_the_upstream_does_not_obey(session, upstream):
    document = ask() | {"model": "fault:status:503"}
    assert (await post(session, upstream, document))[0] == 503
    upstream.obey_models = False
    assert (await post(session, upstream, document))[0] == 200


async def test_a_list_is_worked_off_one_request_each_and_then_the_default_returns(session, upstream):
    upstream.schedule = ["status:500", Fault(name="status", arg="503"), "ok"]
    upstream.fault = "status:418"
    assert [(await post(session, upstream, ask()))[0] for _ in range(5)] == [500, 503, 200, 418, 418]


async def test_requests_and_connections_are_logged(session, upstream):
    await post(session, upstream, ask(), CHAT + "?a=%20b")
    await post(session, upstream, ask())
    first, second = upstream.requests
    (connection,) = upstream.connections
    assert (first.target, first.headers.get("content-type")) == (CHAT + "?a=%20b", "application/json")
    assert first.document["messages"][0]["content"] == QUESTION
    assert (first.connection, second.connection, connection.requests) == (connection.id, connection.id, 2)
    assert connection.bytes_in > len(first.body) + len(second.body)
    assert connection.bytes_out > 0


async def test_an_upstream_that_went_down_refuses_and_comes_back_on_its_port(session, upstream):
    port = upstream.port
    await upstream.go_down()
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(session, upstream, ask())
    await upstream.come_back()
    assert upstream.port == port
    assert (await post(session, upstream, ask()))[0] == 200


async def test_nobody_listens_on_an_unused_port(session):
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(f"http://127.0.0.1:{unused_port()}/")


async def test_an_unknown_fault_fails_the_test_that_named_it(session):
    async with Upstream(fault="no_such_fault") as upstream:
        with pytest.raises(aiohttp.ClientError):
            await post(session, upstream, ask())
        with pytest.raises(KeyError, match="no_such_fault"):
            await upstream.go_down()


def test_every_fault_says_what_it_promises():
    for name, strike in {**FAULTS, **AT_CONNECT}.items():
        assert strike.__doc__, name
    assert BEFORE_BODY | AT_CONNECT.keys() <= FAULTS.keys()
