"""The raw client does to a connection exactly what it is told, and the token reader catches what it must."""

import asyncio

import pytest
from lab import tokens
from lab.client import RawClient, request
from lab.upstream import Upstream


@pytest.fixture
async def upstream():
    async with Upstream("p1") as upstream:
        yield upstream


async def test_a_request_in_single_bytes_is_one_request(upstream):
    async with RawClient(upstream.port) as client:
        await client.drip(request("GET", "/v1/models", headers={"X-Slow": "yes"}), 0)
        response = await client.response()
    assert response.json()["object"] == "list"
    assert upstream.requests[0].headers.get("x-slow") == "yes"


async def test_pipelined_requests_are_answered_in_order(upstream):
    async with RawClient(upstream.port) as client:
        await client.send(request("GET", "/v1/models") + request("GET", "/nowhere"))
        assert [(await client.response()).status for _ in range(2)] == [200, 404]


async def test_a_chunked_upload_arrives_whole(upstream):
    async with RawClient(upstream.port) as client:
        await client.send(request(target="/x", headers={"Transfer-Encoding": "chunked"}))
        await client.send(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
        await client.response()
    assert upstream.requests[0].body == b"abcde"


async def test_expect_is_answered_with_100_before_the_body(upstream):
    async with RawClient(upstream.port) as client:
        await client.send(request(target="/x", headers={"Expect": "100-continue", "Content-Length": "2"}))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"hi")).status == 404


@pytest.mark.parametrize("leave", ["half_close", "abort"])
async def test_leaving_is_noticed_by_a_silent_upstream(upstream, leave):
    upstream.fault = "hang"
    async with RawClient(upstream.port) as client:
        await client.send(request(document={"model": "m"}))
        await upstream.until(lambda: upstream.requests and upstream.requests[0].fault == "hang")
        if leave == "abort":
            client.abort()
        else:
            await client.half_close()
        await upstream.until(lambda: upstream.open_connections == 0)
    (connection,) = upstream.connections
    assert connection.closed_by == "client"
    assert connection.client_left <= connection.closed <= asyncio.get_running_loop().time()


async def test_a_client_sees_that_the_peer_closed(upstream):
    upstream.fault = "close_on_connect"
    async with RawClient(upstream.port) as client:
        assert await client.closed(within=2)


async def test_a_slow_reader_holds_the_writer_back(upstream):
    upstream.fault = "huge_body:64"
    async with RawClient(upstream.port) as client:
        await client.send(request(document={"model": "m"}))
        await client.head()
        written = -1
        while written != upstream.connections[0].bytes_out:
            written = upstream.connections[0].bytes_out
            await upstream_settles()
        assert written < 32 << 20
        client.abort()


async def upstream_settles():
    """Let both ends run until what the sockets' buffers take is taken."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "text", ["p1:1:0 p1:1:2 ", "p1:1:0 p2:1:1 ", "p1:1:0 p1:2:1 ", "p1:1:0 p1:1:0 ", "p1:1:1 p1:1:0 ", ""]
)
def test_lost_mixed_doubled_and_reordered_tokens_are_caught(text):
    with pytest.raises(AssertionError):
        tokens.read(text)


def test_an_answer_cut_before_its_echo_has_none():
    assert tokens.read("p1:4:0 p1:4:1 ") == tokens.Told("p1", 4, 2, None)
