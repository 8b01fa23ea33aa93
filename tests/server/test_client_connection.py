"""One client's connection on the raw wire: how answers are framed, what keeps it open, and what ends it."""

import asyncio
import gc

import pytest
from lab.client import RawClient, request
from lab.sidecar import chat, eventually

from proxy.messages import Reply
from proxy.server import data
from proxy.server.connection import MOST_ASKED, ClientConnection
from proxy.server.exchange import head

GOOD = request(document=chat("question"))


async def test_an_answer_has_a_length_a_date_and_no_version_of_the_server(sidecar):
    async with RawClient(sidecar.port) as client:
        response = await client.ask(GOOD)

    assert int(response.headers.get("content-length")) == len(response.body)
    assert response.headers.get("date").endswith(" GMT")
    assert response.headers.get("server") == "sidestep"
    assert "connection" not in response.headers


async def test_a_connection_answers_one_request_after_the_other(sidecar):
    async with RawClient(sidecar.port) as client:
        answers = [await client.ask(request(document=chat("question", stream=stream))) for stream in (False, True) * 2]

    assert [answer.status for answer in answers] == [200] * 4


async def test_a_client_that_says_close_is_told_so_and_let_go(sidecar):
    async with RawClient(sidecar.port) as client:
        response = await client.ask(request(document=chat("question"), headers={"Connection": "close"}))

        assert response.headers.get("connection") == "close"
        assert await client.closed(within=5)


async def test_a_client_of_http_1_0_may_keep_its_connection(sidecar):
    old = request(document=chat("question"), headers={"Connection": "keep-alive"}).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with RawClient(sidecar.port) as client:
        first, second = await client.ask(old), await client.ask(old)

    assert first.headers.get("connection") == "keep-alive"
    assert second.status == 200


async def test_a_question_for_the_head_gets_no_body(sidecar):
    async with RawClient(sidecar.port) as client:
        await client.send(request("HEAD", "/livez"))
        answer = await client.reader.readuntil(b"\r\n\r\n")
        await client.send(request("GET", "/livez"))
        following = await client.reader.readuntil(b"ok\n")

    assert b"content-length: 3" in answer
    assert following.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_line_break_in_a_header_is_never_written(value):
    with pytest.raises(ValueError, match="line break"):
        head(Reply(headers={"content-type": value}), "")


async def test_a_mistake_of_ours_is_a_500_and_ends_the_connection_of_one_client_only(sidecar, monkeypatch, caplog):
    async with RawClient(sidecar.port) as client, RawClient(sidecar.port) as other:
        with monkeypatch.context() as broken:
            broken.setattr(data, "ask", lambda *_: 1 / 0)
            response = await client.ask(GOOD)
        assert (response.status, response.json()["error"]["code"]) == (500, "internal_error")
        assert await client.closed(within=5)
        assert (await other.ask(GOOD)).status == 200

    assert "a request handler failed" in caplog.text


async def test_connections_that_are_idle_end_when_the_listener_leaves(sidecar):
    async with RawClient(sidecar.port) as client:
        await client.ask(GOOD)
        listener, server = sidecar.sidecar._servers[-1]
        listener.close()
        server.pre_shutdown()

        assert await client.closed(within=5)


async def test_an_answer_under_way_is_finished_and_says_close_when_the_listener_leaves(sidecar, upstream):
    upstream.fault = "latency:0.2"
    async with RawClient(sidecar.port) as client:
        asking = asyncio.ensure_future(client.ask(GOOD))
        await upstream.until(lambda: len(upstream.requests) == 1)
        sidecar.sidecar._servers[-1][1].pre_shutdown()
        response = await asking

        assert (response.status, response.headers.get("connection")) == (200, "close")
        assert await client.closed(within=5)


async def test_the_task_of_a_connection_ends_with_it(sidecar):
    await sidecar.chat("question")  # leaves one connection to the provider at rest
    before = len(asyncio.all_tasks())
    async with RawClient(sidecar.port) as client:
        await client.ask(GOOD)

    async def gone():
        return len(asyncio.all_tasks()) <= before

    await eventually(gone)


async def test_what_is_sent_ahead_waits_at_the_client_until_it_is_its_turn(sidecar, upstream):
    upstream.fault = "latency:0.5"
    large = request(document=chat("x" * 20_000_000))
    async with RawClient(sidecar.port) as client:
        sending = asyncio.ensure_future(client.send(GOOD + large))
        await upstream.until(lambda: len(upstream.requests) == 1)
        await asyncio.sleep(0.2)
        (connection,) = sidecar.sidecar._servers[-1][1].connections
        held, waiting = connection._held, connection._incoming.body.size
        first, second = await client.response(), await client.response()
        await sending

    assert held
    assert waiting < 1_000_000
    assert (first.status, second.status) == (200, 200)
    assert len(upstream.requests[1].body) > 20_000_000


async def test_many_requests_sent_ahead_are_answered_in_their_order(sidecar):
    count = 3 * MOST_ASKED
    async with RawClient(sidecar.port) as client:
        asked = [request("GET", "/v1/models", headers={"X-Request-Id": f"r{number}"}) for number in range(count)]
        await client.send(b"".join(asked))
        answers = [await client.response() for _ in range(count)]

    assert [answer.headers.get("x-request-id") for answer in answers] == [f"r{number}" for number in range(count)]


@pytest.mark.parametrize("data", [GOOD, request(document=chat("question", stream=True)), b"nonsense\r\n\r\n"])
async def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(sidecar, data):
    gc.collect()
    gc.disable()
    try:
        async with RawClient(sidecar.port) as client:
            await client.ask(data)

        async def nothing_left():
            return not any(isinstance(each, ClientConnection) for each in gc.get_objects())

        await eventually(nothing_left)
    finally:
        gc.enable()
