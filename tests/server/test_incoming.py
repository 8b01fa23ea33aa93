"""What a client's bytes amount to: the requests in them, however they are cut, and no more than aiohttp finds."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import RequestPayloadError
from hypothesis import given
from hypothesis import strategies as st

from proxy.server.incoming import MAX_HEAD, Incoming

WIRE = SimpleNamespace(address="127.0.0.1")
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
LONG = ASK + b"Content-Length: 4\r\n\r\nbody"
CHUNKED = ASK + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nb\r\n3\r\nody\r\n0\r\nX-Trailer: y\r\n\r\n"
BARE = b"GET /v1/models?a=b HTTP/1.1\r\nHost: x\r\nX-Name:  value \t\r\nx-name: second\r\n\r\n"
OLD = b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
UPGRADING = ASK + OFFER + b"Content-Length: 4\r\n\r\nbody"
UPGRADING_CHUNKED = ASK + OFFER + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
GOOD = [LONG, CHUNKED, BARE, OLD, UPGRADING, UPGRADING_CHUNKED, ASK + b"\r\n"]


def read(*pieces):
    """The requests in these pieces, each with its body as far as it came, and what was wrong."""
    found, problem = [], None
    incoming = Incoming(None, WIRE, found.append, int)
    for piece in pieces:
        problem = problem or incoming.feed(piece)
    return [(each, each.payload.read_nowait(), each.payload.ended) for each in found], problem


def told(requests):
    return [(each.method, each.path, dict(each.headers), each.closing, body, whole) for each, body, whole in requests]


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(edges)]


@pytest.mark.parametrize("data", [LONG, CHUNKED, UPGRADING, UPGRADING_CHUNKED])
def test_a_body_is_read_however_it_is_framed_and_whatever_is_offered_beside(data):
    ((request, body, whole),), problem = read(data)

    assert (request.method, request.path, body, whole, problem) == (
        "POST",
        "/v1/chat/completions",
        b"body",
        True,
        None,
    )


def test_the_first_of_several_headers_counts_and_names_are_lower_case():
    ((request, _, whole),), _ = read(BARE)

    assert (request.path, dict(request.headers), whole) == ("/v1/models?a=b", {"host": "x", "x-name": "value"}, True)


@pytest.mark.parametrize(
    ("data", "closing"), [(BARE, False), (OLD, False), (BARE.replace(b"X-Name", b"Connection: close\r\nX-Name"), True)]
)
def test_a_connection_ends_with_the_answer_when_the_client_says_so(data, closing):
    ((request, _, _),), _ = read(data)
    assert request.closing is closing


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=5), st.lists(st.integers(0, 2000), max_size=20))
def test_it_does_not_matter_where_the_bytes_are_cut(requests, places):
    data = b"".join(requests)
    whole, problem = read(data)
    pieces, problem_of_pieces = read(*cut(data, places))

    assert told(pieces) == told(whole)
    assert len(whole) == len(requests)
    assert problem is problem_of_pieces is None


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Content-Type", "Transfer-Encoding", "User-Agent"])
def test_a_header_that_two_readers_could_read_differently_may_not_be_sent_twice(name):
    value = b"chunked" if name == "Transfer-Encoding" else b"4"
    line = name.encode() + b": " + value + b"\r\n"
    requests, problem = read(ASK.replace(b"Host: x\r\n", b"") + line * 2 + b"Host: x\r\n\r\n")

    assert (requests, problem.status, problem.code) == ([], 400, "bad_http")


@pytest.mark.parametrize(
    "data",
    [ASK.replace(b"Host: x\r\n", b"") + b"\r\n", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n"],
)
def test_what_is_no_request_of_http_1_is_malformed(data):
    requests, problem = read(data)
    assert (requests, problem.code) == ([], "bad_http")


def test_a_head_may_not_go_on_for_ever_line_by_line():
    requests, problem = read(ASK, *[b"X-%d: %b\r\n" % (number, b"a" * 8000) for number in range(MAX_HEAD // 8000 + 1)])
    assert (requests, problem.status, problem.code) == ([], 431, "headers_too_large")


def test_a_name_may_not_go_on_for_ever_byte_by_byte():
    requests, problem = read(ASK, *[b"a" * 4000] * (MAX_HEAD // 4000 + 1))
    assert (requests, problem.status) == ([], 431)


def test_what_comes_behind_what_is_not_http_is_not_read():
    requests, problem = read(LONG + b"nonsense\r\n\r\n" + LONG, LONG)
    assert (len(requests), problem.code) == (1, "bad_http")


async def test_a_body_that_breaks_off_tells_its_reader_and_nobody_else():
    found = []
    incoming = Incoming(asyncio.get_running_loop(), WIRE, found.append, int)
    assert incoming.feed(ASK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n") is None
    assert await found[0].payload.readany() == b"body"
    waiting = asyncio.ensure_future(found[0].payload.readany())
    await asyncio.sleep(0)
    assert incoming.feed(b"none\r\n") is None
    with pytest.raises(RequestPayloadError):
        await waiting


def test_trailers_are_counted_like_headers():
    data = ASK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(200))
    ((_, _, whole),), problem = read(data + b"\r\n")
    assert (whole, problem) == (False, None)


def test_a_trailer_says_nothing_that_only_a_header_may():
    ((_, _, whole),), problem = read(CHUNKED.replace(b"X-Trailer", b"Host"))
    assert (whole, problem) == (False, None)


# Held against aiohttp's parser

TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"0", b"+", b"-", b"0x", b"\x80", b"\xff"]
TOKENS += [b"_", b"{}", b"\x0b"]
TOKENS += [
    b"GET ",
    b"/",
    b"?a=b",
    b"#",
    b"http://h/",
    b"\x7f",
    b";",
    b"HTTP/1.0",
    b"chunked",
    b"\r\n\r\n",
    b"0\r\n\r\n",
]
TOKENS += [b"Content-Length: 2\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n"]
TOKENS += [
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"X: \xc3\xa9\r\n",
]
CHANGES = st.lists(st.tuples(st.integers(0, 500), st.sampled_from(TOKENS), st.integers(0, 6)), max_size=3)


def aiohttps(data):
    """What aiohttp's own parser finds: the messages, or None when it refuses."""
    loop = asyncio.new_event_loop()
    try:
        protocol = BaseProtocol(loop)
        parser = HttpRequestParser(protocol, loop, 2**16, payload_exception=RequestPayloadError, auto_decompress=False)
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError:
        return None
    finally:
        loop.close()
    return [
        (each.method, each.path, each.should_close, b"".join(getattr(body, "_buffer", ())), body.is_eof())
        for each, body in messages
        if body.exception() is None
    ]


@given(st.sampled_from([LONG, CHUNKED, BARE, OLD, LONG + CHUNKED]), CHANGES)
def test_whatever_is_taken_aiohttp_takes_and_reads_alike(data, changes):
    for at, token, gone in changes:
        place = at % (len(data) + 1)
        data = data[:place] + token + data[place + gone :]
    requests, problem = read(data)
    if requests and problem is None and all(whole for _, _, whole in requests):
        ours = [(each.method, each.path, each.closing, body, whole) for each, body, whole in requests]
        assert ours == aiohttps(data)
