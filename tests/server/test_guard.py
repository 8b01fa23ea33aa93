"""The listener against clients that are slow, many, malformed or malicious: over real sockets, on the raw wire."""

import asyncio
import json
import logging
import socket

import pytest
from lab.client import RawClient, request
from lab.sidecar import chat, eventually

from proxy.server import guard

CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
GOOD = request(document=chat("question"))
MARK = "canary-7f3a"


def envelope(response):
    """The error inside a response, after checking that it has OpenAI's shape."""
    assert response.headers.get("content-type") == "application/json"
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    return error


async def told(port, data):
    """Send bytes on a connection of their own and read the answer."""
    async with RawClient(port) as client:
        return await client.ask(data)


def finished(sidecar):
    """Whether a request has come to its end, for `eventually`."""

    async def condition():
        return bool(sidecar.records)

    return condition


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch):
    """Do not read the rest of refused bodies away for long."""
    monkeypatch.setattr(guard, "LINGER", 0.05)


# Slow clients


@pytest.mark.parametrize("begun", [b"P", b"\r\n", CHAT, CHAT + b"X-Slow: "])
async def test_headers_that_do_not_end_in_time_end_the_connection(serve, begun):
    async with serve(limits={"header_time": "50ms"}) as sidecar, RawClient(sidecar.port) as client:
        await client.send(begun)

        assert await client.closed(within=5)


async def test_bytes_that_trickle_in_do_not_extend_the_time_for_headers(serve):
    async with serve(limits={"header_time": "100ms"}) as sidecar, RawClient(sidecar.port) as client:
        dripping = asyncio.ensure_future(client.drip(CHAT * 1000, 0.01))

        assert await client.closed(within=5)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_slow_headers_of_a_second_request_end_the_connection_too(serve):
    async with serve(limits={"header_time": "50ms"}) as sidecar, RawClient(sidecar.port) as client:
        await client.ask(GOOD)
        await client.send(CHAT)

        assert await client.closed(within=5)


async def test_headers_begun_while_another_answer_is_made_end_an_idle_connection_too(serve, upstream, monkeypatch):
    monkeypatch.setattr(guard, "KEEPALIVE", 0.2)
    upstream.interval = 0.02
    async with serve() as sidecar, RawClient(sidecar.port) as client:
        await client.send(request(document=chat("question", stream=True)) + CHAT)
        response = await client.response()

        assert response.complete
        assert response.events()[-1] == "[DONE]"
        assert await client.closed(within=5)


async def test_the_time_for_headers_does_not_run_while_a_request_is_answered(serve, upstream):
    upstream.interval = 0.05
    async with serve(limits={"header_time": "50ms"}) as sidecar:
        response = await sidecar.chat("question", stream=True)

    assert response.events()[-1] == "[DONE]"


async def test_the_time_for_headers_does_not_run_while_a_body_arrives(serve):
    async with serve(limits={"header_time": "50ms"}) as sidecar, RawClient(sidecar.port) as client:
        await client.send(GOOD[:-1])
        await asyncio.sleep(0.15)

        assert (await client.ask(GOOD[-1:])).status == 200


async def test_a_connection_that_never_says_anything_is_closed(serve, monkeypatch):
    monkeypatch.setattr(guard, "KEEPALIVE", 0.05)
    async with serve() as sidecar, RawClient(sidecar.port) as client:
        assert await client.closed(within=5)


async def test_a_connection_that_says_nothing_more_is_closed(serve, monkeypatch):
    monkeypatch.setattr(guard, "KEEPALIVE", 0.05)
    async with serve() as sidecar, RawClient(sidecar.port) as client:
        assert (await client.ask(GOOD)).status == 200
        assert await client.closed(within=5)


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
async def test_a_body_that_does_not_arrive_in_time_is_a_408(serve, upstream, framing):
    async with serve(limits={"body_time": "50ms"}) as sidecar, RawClient(sidecar.port) as client:
        response = await client.ask(CHAT + framing)

        assert (response.status, envelope(response)["code"]) == (408, "body_too_slow")
        assert await client.closed(within=5)
    assert not upstream.requests


async def test_a_client_that_stops_reading_a_stream_is_cut_off_and_the_provider_is_not_blamed(serve, upstream):
    upstream.fault = "endless"
    policy = {"timeouts": {"connect": "1s", "first_output": "1s", "idle": "50ms", "total": "60s"}}
    async with serve(policy, limits={"write_time": "100ms"}) as sidecar, RawClient(sidecar.port) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await client.send(request(document=chat("question", stream=True)))
        await client.head()
        client.writer.transport.pause_reading()
        await eventually(finished(sidecar), within=10)
    (record,) = sidecar.records
    assert record.cancelled
    assert record.broken is None
    assert record.attempts[0].failure.error_class == "cancelled"


# Many clients


async def test_a_connection_beyond_the_limit_is_closed_and_the_others_go_on(serve):
    async with (
        serve(limits={"connections": 2}) as sidecar,
        RawClient(sidecar.port) as first,
        RawClient(sidecar.port) as second,
    ):
        assert (await first.ask(GOOD)).status == 200
        assert (await second.ask(GOOD)).status == 200
        async with RawClient(sidecar.port) as third:
            assert await third.closed(within=5)
        assert (await first.ask(GOOD)).status == 200


async def test_a_request_beyond_the_limit_in_flight_is_refused_with_a_time_to_come_back(serve, upstream):
    upstream.fault = "hang"
    async with serve(limits={"in_flight": 1}) as sidecar, RawClient(sidecar.port) as waiting:
        await waiting.send(GOOD)
        await upstream.until(lambda: len(upstream.requests) == 1)
        response = await sidecar.chat("one too many")

    assert (response.status, envelope(response)["code"]) == (503, "overloaded")
    assert response.headers.get("retry-after") == "1"
    assert len(upstream.requests) == 1


# Too much


@pytest.mark.parametrize(
    "data",
    [
        b"POST /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        CHAT + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n",
        CHAT + b"X" * 9000 + b": a\r\n\r\n",
        CHAT + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n",
    ],
    ids=["line", "value", "name", "count"],
)
async def test_a_head_that_is_too_large_is_a_431(sidecar, upstream, data):
    response = await told(sidecar.port, data)

    assert (response.status, envelope(response)["code"]) == (431, "headers_too_large")
    assert not upstream.requests


async def test_a_body_that_is_declared_too_large_is_a_413_before_it_is_read(serve, upstream):
    async with serve(limits={"body": "1KiB"}) as sidecar, RawClient(sidecar.port) as client:
        response = await client.ask(CHAT + b"Content-Length: 1025\r\n\r\n")

    assert (response.status, envelope(response)["code"]) == (413, "body_too_large")
    assert not upstream.requests


async def test_a_chunked_body_is_a_413_as_soon_as_it_grows_too_large(serve, upstream):
    async with serve(limits={"body": "1KiB"}) as sidecar:
        chunks = b"200\r\n" + b" " * 512 + b"\r\n"
        response = await told(sidecar.port, CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 3)

    assert (response.status, envelope(response)["code"]) == (413, "body_too_large")
    assert not upstream.requests


async def test_a_body_of_exactly_the_limit_is_taken(serve):
    body = json.dumps(chat("question")).encode().ljust(1024)
    async with serve(limits={"body": "1KiB"}) as sidecar:
        response = await told(sidecar.port, CHAT + b"Content-Length: 1024\r\n\r\n" + body)

    assert response.status == 200


async def test_the_connection_ends_after_a_body_that_was_too_large(serve):
    async with serve(limits={"body": "1KiB"}) as sidecar, RawClient(sidecar.port) as client:
        await client.ask(CHAT + b"Content-Length: 1025\r\n\r\n")

        assert await client.closed(within=5)


# Expect


async def test_a_client_that_asks_first_is_told_to_go_on_and_answered(sidecar):
    body = json.dumps(chat("question")).encode()
    async with RawClient(sidecar.port) as client:
        await client.send(CHAT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        response = await client.ask(body)

    assert response.status == 200


async def test_a_client_that_asks_first_for_too_much_gets_413_and_no_100(serve):
    async with serve(limits={"body": "1KiB"}) as sidecar:
        response = await told(sidecar.port, CHAT + b"Expect: 100-continue\r\nContent-Length: 1025\r\n\r\n")

    assert (response.status, response.interim) == (413, [])


@pytest.mark.parametrize(
    ("change", "status"),
    [((b"/v1/chat/completions", b"/nowhere"), 404), ((b"POST", b"PUT"), 405), ((b"json", b"xml"), 415)],
)
async def test_a_client_that_asks_first_for_what_is_refused_gets_no_100(sidecar, change, status):
    data = CHAT.replace(*change) + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    response = await told(sidecar.port, data)

    assert (response.status, response.interim) == (status, [])


async def test_another_expectation_is_a_417(sidecar):
    response = await told(sidecar.port, CHAT + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}")

    assert (response.status, envelope(response)["code"]) == (417, "expectation_failed")


# Malformed and malicious

MALFORMED = {
    "no HTTP at all": b"canary-7f3a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03canary-7f3a\r\n\r\n",
    "a version that is none": b"POST /v1/chat/completions HTTP/canary-7f3a\r\nHost: x\r\n\r\n",
    "a header without a colon": CHAT + b"canary-7f3a\r\n\r\n",
    "a blank before the colon": CHAT + b"canary-7f3a : x\r\n\r\n",
    "an empty name": CHAT + b": canary-7f3a\r\n\r\n",
    "a folded header": CHAT + b"X-A: b\r\n canary-7f3a\r\n\r\n",
    "a NUL in a value": CHAT + b"X-A: canary-7f3a\x00\r\n\r\n",
    "a bare CR in a value": CHAT + b"X-A: canary-7f3a\rb\r\n\r\n",
    "a bare LF in a value": CHAT + b"X-A: canary-7f3a\nContent-Length: 2\r\n\r\n{}",
    "bare LF as line ends": CHAT.replace(b"\r\n", b"\n") + b"X: canary-7f3a\n\n",
    "both framings": CHAT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\nX: canary-7f3a\r\n\r\n0\r\n\r\n",
    "both framings, the other order": CHAT + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": CHAT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a list of lengths": CHAT + b"Content-Length: 2, 3\r\n\r\n{}",
    "a length with a sign": CHAT + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": CHAT + b"Content-Length: -2\r\n\r\n{}",
    "a length with an underscore": CHAT + b"Content-Length: 1_0\r\n\r\n0123456789",
    "a length in hex": CHAT + b"Content-Length: 0x2\r\n\r\n{}",
    "a length beyond 64 bits": CHAT + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "an empty length": CHAT + b"Content-Length: \r\n\r\n{}",
    "an unknown coding": CHAT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": CHAT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": CHAT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked with a tab inside": CHAT + b"Transfer-Encoding: chun\tked\r\n\r\n0\r\n\r\n",
    "chunked under HTTP/1.0": CHAT.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": CHAT + b"Transfer-Encoding: chunked\r\n\r\ncanary-7f3a\r\n",
    "a chunk size with a sign": CHAT + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with 0x": CHAT + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHAT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}canary-7f3a\r\n0\r\n\r\n",
    "a chunk size line that ends in LF": CHAT + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_http_is_refused_in_openais_shape_and_the_connection_ends(sidecar, upstream, name):
    async with RawClient(sidecar.port) as client:
        response = await client.ask(MALFORMED[name])

        assert 400 <= response.status < 500
        assert MARK not in json.dumps(envelope(response))
        assert MARK not in repr(response.headers)
        assert await client.closed(within=5)
    assert not upstream.requests


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_http_leaves_no_traceback_and_no_word_of_it_in_the_log(sidecar, caplog, name):
    with caplog.at_level(logging.DEBUG):
        await told(sidecar.port, MALFORMED[name])

    assert "Traceback" not in caplog.text
    assert MARK not in caplog.text


async def test_a_smuggled_second_request_is_not_answered(sidecar, upstream):
    smuggled = b"4\r\nGPOS\r\n0\r\n\r\n" + GOOD
    async with RawClient(sidecar.port) as client:
        await client.send(CHAT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled)
        first = await client.response()

        assert first.status == 400
        assert await client.reader.read() == b""
    assert not upstream.requests


async def test_an_upgrade_to_http2_is_declined_and_the_request_is_answered_as_it_stands(sidecar, upstream):
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    body = json.dumps(chat("question")).encode()
    async with RawClient(sidecar.port) as client:
        response = await client.ask(CHAT + upgrade + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert response.status in {200, 400}
    assert len(upstream.requests) == (response.status == 200)


# Paths and methods


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1",
        "//v1/chat/completions",
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat%2fcompletions",
        "/%76%31/chat/completions",
        "/v1/chat/completions/",
        "/admin/status",
        "/metrics",
        "/v1/chat/completions/../../../metrics",
        "http://127.0.0.1/v1/chat/completions",
        "http://evil.example/v1/chat/completions",
    ],
)
async def test_any_other_path_is_a_404(sidecar, upstream, target):
    response = await told(sidecar.port, request(target=target, document=chat("question")))

    assert (response.status, envelope(response)["code"]) == (404, "no_route")
    assert not upstream.requests


async def test_a_host_header_with_a_path_in_it_leads_nowhere_else(sidecar):
    data = request("GET", "/metrics", headers={"Host": "127.0.0.1/v1/models?"})

    assert (await told(sidecar.port, data)).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_another_method_on_an_endpoint_is_a_405_that_says_which_it_takes(sidecar, upstream, method):
    async with RawClient(sidecar.port) as client:
        response = await client.ask(request(method), method=method)

    assert (response.status, response.headers.get("allow")) == (405, "POST")
    assert not upstream.requests


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
async def test_another_method_on_the_models_is_a_405_that_says_which_it_takes(sidecar, method):
    async with RawClient(sidecar.port) as client:
        response = await client.ask(request(method, "/v1/models"), method=method)

    assert (response.status, response.headers.get("allow")) == (405, "GET")


async def test_the_answer_to_head_has_no_body(sidecar):
    async with RawClient(sidecar.port) as client:
        await client.ask(request("HEAD"), method="HEAD")
        response = await client.ask(GOOD)

    assert response.status == 200


# Media types


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x"])
async def test_a_body_that_is_not_json_by_its_type_is_a_415(sidecar, upstream, kind):
    response = await told(sidecar.port, request(document=chat("question"), headers={"Content-Type": kind}))

    assert (response.status, envelope(response)["code"]) == (415, "unsupported_media_type")
    assert not upstream.requests


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_a_compressed_body_is_a_415(sidecar, upstream, coding):
    response = await told(sidecar.port, request(document=chat("question"), headers={"Content-Encoding": coding}))

    assert (response.status, envelope(response)["code"]) == (415, "unsupported_media_type")
    assert not upstream.requests


async def test_a_body_that_says_it_is_not_compressed_is_taken(sidecar):
    response = await told(sidecar.port, request(document=chat("question"), headers={"Content-Encoding": "identity"}))

    assert response.status == 200


# Keys


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic a-client-key", "a-client-key", "Bearer a-client-key2"],
)
@pytest.mark.parametrize(("method", "target"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")])
async def test_without_one_of_the_client_keys_it_is_a_401(serve, upstream, authorization, method, target):
    headers = {} if authorization is None else {"Authorization": authorization}
    async with serve(client_keys=["a-client-key", "another-key"]) as sidecar:
        response = await told(sidecar.port, request(method, target, chat("question"), headers=headers))

    assert (response.status, envelope(response)["code"]) == (401, "invalid_client_key")
    assert "client-key" not in response.body.decode()
    assert not upstream.requests


@pytest.mark.parametrize("authorization", ["Bearer a-client-key", "bearer another-key", "BEARER  a-client-key"])
async def test_with_any_of_the_client_keys_a_request_is_answered(serve, upstream, authorization):
    async with serve(client_keys=["a-client-key", "another-key"]) as sidecar:
        response = await sidecar.chat("question", headers={"Authorization": authorization})

    assert response.status == 200
    assert "client-key" not in repr(upstream.requests[0].headers)


async def test_a_key_that_is_not_ascii_is_a_401(serve):
    async with serve(client_keys=["a-client-key"]) as sidecar:
        data = CHAT + b"Authorization: Bearer \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"

        assert (await told(sidecar.port, data)).status == 401


# Old and pipelining clients


async def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_the_connection(sidecar):
    data = request(document=chat("question", stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0")
    response = await told(sidecar.port, data)

    assert response.status == 200
    assert "transfer-encoding" not in response.headers
    assert response.events()[-1] == "[DONE]"


async def test_a_client_of_http_1_0_gets_a_plain_answer(sidecar):
    response = await told(sidecar.port, GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert (response.status, response.complete) == (200, True)


async def test_requests_sent_without_waiting_are_answered_in_order(sidecar):
    questions = [f"question {number}" for number in range(5)]
    async with RawClient(sidecar.port) as client:
        await client.send(b"".join(request(document=chat(question)) for question in questions))
        answers = [(await client.response()).json()["choices"][0]["message"]["content"] for _ in questions]

    assert [answer.partition("= ")[2] for answer in answers] == questions


# Clients that leave


async def test_a_client_that_resets_in_the_middle_of_its_body_leaves_no_traceback(sidecar, caplog):
    async with RawClient(sidecar.port) as client:
        await client.send(GOOD[:-5])
        await asyncio.sleep(0.02)
        client.abort()

    await eventually(finished(sidecar))
    assert sidecar.records[0].cancelled
    assert "Traceback" not in caplog.text


async def test_a_client_that_resets_a_stream_leaves_no_traceback_and_is_no_failure(sidecar, upstream, caplog):
    upstream.fault = "endless"
    async with RawClient(sidecar.port) as client:
        await client.send(request(document=chat("question", stream=True)))
        await client.head()
        await client.reader.read(100)
        client.abort()

    await eventually(finished(sidecar))
    assert sidecar.records[0].cancelled
    assert not sidecar.records[0].failed
    assert "Traceback" not in caplog.text
    assert sidecar.sidecar.engine.registry.in_flight == 0
