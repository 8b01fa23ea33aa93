"""One exchange with a provider over a real socket: what is sent, what is believed, and what is closed."""

import asyncio
import json

import pytest
from lab.fault import Fault, fault, status
from lab.ports import unused_port
from lab.upstream import Upstream

from proxy.errors import ErrorClass
from proxy.transport import session
from proxy.transport.session import AttemptError

CHAT = json.dumps({"model": "small", "messages": [{"role": "user", "content": "question"}]}).encode()
STREAM = json.dumps({"model": "small", "stream": True, "messages": []}).encode()


@fault
async def answer_and_reset(exchange, _):
    """Answer, and reset the connection once the next request has arrived whole."""
    if exchange.wire.log.requests > 1:
        exchange.wire.reset()
    else:
        await exchange.answer()


@fault
async def good_chunk_then_bad(exchange, _):
    """A good chunk, and only when that was read, one whose size is no number; the connection stays open."""
    await exchange.head(200, {"Content-Type": exchange.kind, "Transfer-Encoding": "chunked"})
    await exchange.chunk(exchange.half)
    await exchange.wire.pause(0.05)
    await exchange.wire.send(b"zz\r\nnonsense\r\n")
    await exchange.wire.gone_within(None)


@fault
async def answer_and_think(exchange, how):
    """`answer_and_think:SECONDS`: answer once; on the same connection again, think for a while and reset."""
    if exchange.wire.log.requests > 1:
        await exchange.wire.pause(how.number(1))
        exchange.wire.reset()
    else:
        await exchange.answer()


# What is sent


async def test_the_request_is_written_as_it_stands(caller, upstream, url):
    await caller.ask(f"{url}?a=%2e%2e", body=CHAT, headers={"authorization": "Bearer key", "x-title": "t"})
    (received,) = upstream.requests

    assert received.target == "/v1/chat/completions?a=%2e%2e"
    assert received.body == CHAT
    assert {name.lower(): value for name, value in received.headers} == {
        "host": f"127.0.0.1:{upstream.port}",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer key",
        "x-title": "t",
        "content-length": str(len(CHAT)),
    }


async def test_a_path_with_dots_in_it_stays_as_it_is(caller, upstream):
    await caller.ask(f"{upstream.url}/prompt/..%2f%2e%2e/../x", method="GET", body=None)

    assert upstream.requests[0].target == "/prompt/..%2f%2e%2e/../x"


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "a\rb"])
async def test_a_header_with_a_line_break_is_never_sent(caller, upstream, url, value):
    await caller.fail(url, headers={"x-a": value})

    assert not upstream.requests


async def test_the_environments_proxies_are_not_used(caller, upstream, url, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")

    assert b"question" in await caller.ask(url, body=CHAT)


async def test_cookies_are_not_kept(caller, upstream, url):
    upstream.schedule = [status(200, {"choices": []}, set_cookie="session=canary; Path=/")]
    await caller.ask(url, body=CHAT)
    await caller.ask(url, body=CHAT)

    assert "cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(caller, upstream, url, code):
    async with Upstream("elsewhere") as elsewhere:
        upstream.fault = status(code, {}, location=f"{elsewhere.url}/v1/chat/completions")
        answer = await caller.open(url, headers={"authorization": "Bearer canary"})
        answer.close()

        assert answer.status == code
        assert not elsewhere.connections


# The pool


async def test_a_connection_is_used_again_after_an_answer_was_read_to_its_end(caller, upstream, url):
    for _ in range(3):
        await caller.ask(url, body=CHAT)

    assert len(upstream.connections) == 1


async def test_a_connection_is_not_used_again_after_an_answer_was_dropped(caller, upstream, url):
    (await caller.open(url, body=CHAT)).close()
    upstream.fault = "pace:0.01"
    stream = await caller.open(url, body=STREAM)
    await stream.read_some()
    stream.close()
    await upstream.until(lambda: upstream.open_connections <= 1)
    upstream.fault = "ok"

    assert b"question" in await caller.ask(url, body=CHAT)


async def test_a_pooled_connection_that_was_closed_meanwhile_costs_nothing(caller, upstream, url):
    upstream.schedule = ["close_idle"]
    await caller.ask(url, body=CHAT)
    await upstream.until(lambda: upstream.open_connections == 0)

    assert b"question" in await caller.ask(url, body=CHAT)


async def test_a_pooled_connection_that_is_closed_as_we_write_is_repeated_once_on_a_new_one(caller, upstream, url):
    upstream.fault = "answer_and_reset"
    await caller.ask(url, body=CHAT)

    assert b"question" in await caller.ask(url, body=CHAT)
    assert [request.connection for request in upstream.requests] == [0, 0, 1]


async def test_a_new_connection_that_is_reset_is_not_repeated(caller, upstream, url):
    upstream.fault = "reset"

    assert (await caller.fail(url, body=CHAT)).error_class is ErrorClass.BROKEN
    assert len(upstream.requests) == 1


async def test_the_repeat_itself_is_not_repeated(caller, upstream, url):
    upstream.schedule = ["ok", "reset", "reset"]
    await caller.ask(url, body=CHAT)
    failure = await caller.fail(url, body=CHAT)

    assert (failure.error_class, failure.sent) == (ErrorClass.BROKEN, True)
    assert len(upstream.requests) == 3


async def test_a_provider_that_thought_about_it_before_it_reset_was_not_stale(caller, upstream, url, monkeypatch):
    monkeypatch.setattr(session, "STALE_WITHIN", 0.05)
    upstream.fault = "answer_and_think:0.2"
    await caller.ask(url, body=CHAT)
    failure = await caller.fail(url, body=CHAT)

    assert (failure.error_class, failure.sent) == (ErrorClass.BROKEN, True)
    assert len(upstream.requests) == 2


async def test_the_transport_leaves_no_connection_behind(caller, upstream, url):
    answers = await asyncio.gather(*[caller.ask(url, body=CHAT) for _ in range(5)])
    await caller.transport.close()
    await upstream.until(lambda: upstream.open_connections == 0)

    assert len(answers) == 5


# Connecting


async def test_a_port_where_nobody_listens_is_connect(caller):
    failure = await caller.fail(f"http://127.0.0.1:{unused_port()}/v1")

    assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)


async def test_a_name_that_does_not_resolve_is_connect(caller):
    failure = await caller.fail("http://nowhere.invalid/v1")

    assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)


async def test_a_name_that_does_not_resolve_is_not_repeated_in_the_message(caller):
    assert "nowhere" not in (await caller.fail("http://nowhere.invalid/v1")).message


# Bodies


async def test_an_answer_larger_than_the_limit_is_broken_and_its_connection_closed(caller, upstream, url):
    upstream.fault = "huge_body:1"
    failure = await caller.fail(url, body=CHAT, limit=1000)

    assert (failure.error_class, "larger than 1000 bytes" in failure.message) == (ErrorClass.BROKEN, True)
    await upstream.until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("size", [0, 1])
async def test_an_answer_of_the_limit_is_taken_and_one_byte_more_is_not(caller, upstream, url, size):
    upstream.fault = Fault(name="status", arg="200", body=b"x" * (1000 + size))
    answer = await caller.ask(url, limit=1000)

    assert (answer == b"x" * 1000) is (size == 0)


@pytest.mark.parametrize(
    "name", ["truncated", "truncated_reset", "wrong_length", "bad_chunk", "garbage", "header_nul", "close", "reset"]
)
async def test_an_answer_that_is_not_whole_or_not_http_is_broken(caller, upstream, url, name):
    upstream.fault = name

    assert (await caller.fail(url, body=CHAT)).error_class is ErrorClass.BROKEN


async def test_whoever_reads_a_body_is_told_at_once_that_its_framing_broke(caller, upstream, url):
    upstream.fault = "good_chunk_then_bad"
    async with asyncio.timeout(5):
        assert (await caller.fail(url, body=CHAT)).error_class is ErrorClass.BROKEN


@pytest.mark.parametrize("code", ["099", "101", "600", "999"])
async def test_a_status_that_means_nothing_here_is_broken(caller, upstream, url, code):
    upstream.fault = "switching" if code == "101" else f"status_line:{code}"

    assert (await caller.fail(url, body=CHAT)).error_class is ErrorClass.BROKEN


async def test_interim_answers_are_skipped(caller, upstream, url):
    upstream.fault = "early_hints"

    assert b"question" in await caller.ask(url, body=CHAT)


async def test_an_answer_that_is_compressed_although_we_asked_for_none_is_unpacked(caller, upstream, url):
    upstream.fault = "gzipped"

    assert b"question" in await caller.ask(url, body=CHAT)


@pytest.mark.parametrize("name", ["false_gzip", "gzip_bomb:64"])
async def test_what_does_not_unpack_within_bounds_is_broken(caller, upstream, url, name):
    upstream.fault = name

    assert (await caller.fail(url, body=CHAT, limit=2**26)).error_class is ErrorClass.BROKEN


@pytest.mark.parametrize("coding", ["Identity", "IDENTITY", " identity", ""])
async def test_identity_is_no_compression_however_it_is_spelled(caller, upstream, url, coding):
    upstream.fault = status(200, b"plain", content_encoding=coding)

    assert await caller.ask(url) == b"plain"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "unknown"])
async def test_a_coding_that_we_cannot_unpack_is_broken(caller, upstream, url, coding):
    upstream.fault = status(200, b"packed", content_encoding=coding)

    assert (await caller.fail(url)).error_class is ErrorClass.BROKEN


# Closing


async def test_closing_wakes_whoever_reads(caller, upstream, url):
    upstream.fault = "hang_after_headers"
    answer = await caller.open(url, body=CHAT)
    reading = asyncio.ensure_future(answer.read_some())
    await asyncio.sleep(0)
    answer.close()

    with pytest.raises(AttemptError):
        await reading
    await upstream.until(lambda: upstream.open_connections == 0)


async def test_closing_twice_is_closing_once(caller, upstream, url):
    upstream.fault = "hang_after_headers"
    answer = await caller.open(url, body=CHAT)
    answer.close()
    answer.close()
    await upstream.until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("name", ["hang", "hang_on_connect", "slow_headers"])
async def test_a_call_that_is_cancelled_closes_its_connection(caller, upstream, url, name):
    upstream.fault = name
    calling = asyncio.ensure_future(caller.open(url, body=CHAT))
    await upstream.until(lambda: upstream.open_connections == 1)
    await asyncio.sleep(0.02)
    calling.cancel()
    await asyncio.wait({calling})

    assert calling.cancelled()
    await upstream.until(lambda: upstream.open_connections == 0)
