"""What an answer comes to, however its bytes are cut: fed by hand, without a socket."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.outbox import Outbox
from proxy.transport.connection import (
    MAX_HEAD,
    MAX_HEADERS,
    PIECE,
    READ_BUFFER,
    UpstreamConnection,
)
from proxy.transport.failures import MalformedError, TooLateError

FAR = 1e9
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nX-Trailer: t\r\n\r\n"
CLOSED = OK + b"Content-Type: text/plain\r\n\r\nhello"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN


class Pipe:
    """A transport that notes what is done to it."""

    def __init__(self):
        self.written = []
        self.closing = self.paused = False

    def write(self, data):
        self.written.append(data)

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


@asynccontextmanager
async def asked(until=FAR):
    """A connection on which a question was asked."""
    connection = UpstreamConnection(asyncio.get_running_loop(), Outbox(asyncio.get_running_loop()))
    connection.connection_made(Pipe())
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", until)
    yield connection
    connection.discard()


async def whole(connection):
    """The complete answer: its status and its body."""
    await connection.head()
    pieces = []
    while piece := await connection.read(READ_BUFFER):
        pieces.append(piece)
    return connection.status, b"".join(pieces)


def feed(connection, data):
    """Deliver bytes as far as somebody still reads them."""
    if not connection.transport.is_closing():
        connection.data_received(data)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, EARLY])
@given(cuts=st.lists(st.integers(0, 200)))
def test_an_answer_is_the_same_however_it_is_cut(answer, cuts):
    async def play():
        async with asked() as connection:
            edges = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
            for start, end in itertools.pairwise(edges):
                if start < end:
                    connection.data_received(answer[start:end])
            assert await whole(connection) == (200, b"hello")
            assert connection.reusable()

    asyncio.run(play())


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, EARLY])
@given(cuts=st.lists(st.integers(0, 200)), wants=st.lists(st.booleans()), turns=st.lists(st.booleans()))
def test_it_is_the_same_when_it_flows(answer, cuts, wants, turns):
    async def pumped(connection):
        await connection.head()
        pieces, more = [], iter(wants)

        def take(piece):
            pieces.append(piece)
            return next(more, True)

        while piece := await connection.read(READ_BUFFER):
            pieces.append(piece)
            await connection.flow(take)
        return b"".join(pieces)

    async def play():
        async with asked() as connection:
            reading = asyncio.ensure_future(pumped(connection))
            edges = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
            yielding = iter(turns)
            for start, end in itertools.pairwise(edges):
                if start < end:
                    connection.data_received(answer[start:end])
                if next(yielding, True):
                    await asyncio.sleep(0)
            assert await reading == b"hello"
            assert connection.reusable()

    asyncio.run(play())


@asynccontextmanager
async def flowing(take):
    """A connection whose body flows to whoever takes it, and the task that waits for the end of that."""
    async with asked() as connection:
        connection.data_received(OK + b"Content-Length: 100000\r\n\r\n")
        await connection.head()
        waiting = asyncio.ensure_future(connection.flow(take))
        await asyncio.sleep(0)
        yield connection, waiting
        waiting.cancel()


async def test_what_flows_wakes_nobody():
    taken = []
    async with flowing(lambda piece: not taken.append(piece)) as (connection, waiting):
        connection.data_received(b"one")
        connection.data_received(b"two")
        await asyncio.sleep(0)

        assert taken == [b"one", b"two"]
        assert not waiting.done()


async def test_nothing_more_is_handed_to_who_has_had_enough():
    taken = []
    async with flowing(taken.append) as (connection, waiting):
        connection.data_received(b"one")
        connection.data_received(b"two")
        await waiting

        assert taken == [b"one"]
        assert await connection.read(READ_BUFFER) == b"two"


async def test_more_than_a_piece_at_once_is_left_to_the_reader():
    async with flowing(lambda _piece: pytest.fail("it was handed on")) as (connection, waiting):
        connection.data_received(b"x" * (PIECE + 1))
        await waiting

        assert len(await connection.read(PIECE)) == PIECE


async def test_what_is_raised_by_who_takes_comes_to_who_waits():
    def take(_piece):
        raise ConnectionResetError

    async with flowing(take) as (connection, waiting):
        connection.data_received(b"one")
        with pytest.raises(ConnectionResetError):
            await waiting


async def test_a_connection_that_is_lost_ends_the_flow_and_the_reader_is_told():
    async with flowing(lambda _piece: True) as (connection, waiting):
        connection.connection_lost(None)
        await waiting

        with pytest.raises(aiohttp.ClientPayloadError):
            await connection.read(READ_BUFFER)


async def test_names_of_headers_are_lower_case_and_the_first_of_several_counts():
    async with asked() as connection:
        connection.data_received(OK + b"X-A: one \r\nx-a: two\r\nContent-Length: 0\r\n\r\n")
        await connection.head()

        assert connection.headers == {"x-a": "one", "content-length": "0"}


async def test_a_body_without_a_length_ends_with_the_connection():
    async with asked() as connection:
        connection.data_received(CLOSED)
        connection.connection_lost(None)

        assert await whole(connection) == (200, b"hello")
        assert not connection.reusable()


@pytest.mark.parametrize("answer", [PLAIN[:-1], CHUNKED[:-3], CHUNKED[:60]])
async def test_a_body_that_is_cut_short_is_told_after_what_came_of_it(answer):
    async with asked() as connection:
        connection.data_received(answer)
        connection.connection_lost(None)

        with pytest.raises(aiohttp.ClientPayloadError):
            await whole(connection)


async def test_a_reset_is_no_end_of_a_body_even_where_the_end_of_the_connection_is():
    async with asked() as connection:
        connection.data_received(CLOSED)
        connection.connection_lost(ConnectionResetError(104, "reset"))

        with pytest.raises(aiohttp.ClientPayloadError):
            await whole(connection)


async def test_a_connection_that_is_closed_before_its_head_says_so():
    async with asked() as connection:
        connection.data_received(OK)
        connection.connection_lost(None)

        with pytest.raises(aiohttp.ServerDisconnectedError):
            await connection.head()


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"X-A: b\x00c\r\n\r\n",
        OK + b"X-A: b\rc\r\n\r\n",
        OK + b"X-A: b\r\n c\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
        b"HTTP/1.1 99 Low\r\n\r\n",
        OK + b"".join(b"X-%d: a\r\n" % number for number in range(MAX_HEADERS + 1)) + b"\r\n",
        PLAIN + b"more",
        PLAIN + PLAIN,
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
    ],
    ids=repr,
)
async def test_what_is_no_answer_is_refused_and_the_connection_closed(answer):
    async with asked() as connection:
        connection.data_received(answer)

        with pytest.raises(MalformedError):
            await whole(connection)
        assert connection.transport.is_closing()
        assert not connection.reusable()


async def test_what_came_before_the_nonsense_is_read_first_and_nothing_after_it():
    async with asked() as connection:
        connection.data_received(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nzz\r\nlo\r\n")
        await connection.head()

        assert await connection.read(READ_BUFFER) == b"hel"
        with pytest.raises(MalformedError):
            await connection.read(READ_BUFFER)


async def test_nothing_of_an_answer_that_nobody_asked_for_is_read():
    async with asked() as connection:
        connection.data_received(PLAIN + PLAIN.replace(b"hello", b"smugg"))
        await connection.head()

        assert await connection.read(READ_BUFFER) == b"hello"
        with pytest.raises(MalformedError):
            await connection.read(READ_BUFFER)


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (OK, b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (OK + b"X-Filler: ", b"x" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 1000 + b"\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2;ext=", b"x" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"x" * 1000),
    ],
    ids=["headers", "header", "interim answers", "chunk extension", "trailer"],
)
async def test_what_frames_an_answer_is_bounded(begun, more):
    async with asked() as connection:
        feed(connection, begun)
        sent = 0
        while not connection.transport.is_closing():
            feed(connection, more)
            sent += len(more)
            assert sent < 2 * MAX_HEAD

        with pytest.raises(MalformedError):
            await whole(connection)


async def test_a_long_stream_of_small_chunks_is_not_too_much_framing():
    async with asked() as connection:
        connection.data_received(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        await connection.head()
        for _ in range(MAX_HEAD):
            connection.data_received(b"1\r\nx\r\n")
            assert await connection.read(READ_BUFFER) == b"x"


async def test_what_comes_unasked_ends_the_connection():
    async with asked() as connection:
        connection.data_received(PLAIN)
        await whole(connection)
        connection.rest(FAR, lambda _: None)
        assert connection.reusable()
        connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

        assert not connection.reusable()
        assert connection.transport.is_closing()


async def test_an_answer_that_says_close_is_the_last_one():
    async with asked() as connection:
        connection.data_received(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n")

        assert await whole(connection) == (200, b"")
        assert not connection.reusable()


async def test_a_provider_is_told_to_wait_while_nobody_reads():
    async with asked() as connection:
        connection.data_received(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * (READ_BUFFER + 1))
        assert connection.transport.paused

        assert len(await connection.read(READ_BUFFER)) == READ_BUFFER
        assert not connection.transport.paused


async def test_whoever_waits_when_it_is_time_is_told_and_a_moved_time_holds():
    loop = asyncio.get_running_loop()
    async with asked(loop.time() + 0.02) as connection:
        connection.end_by(loop.time() + 0.06)
        begun = loop.time()
        with pytest.raises(TooLateError):
            await connection.head()

        assert loop.time() - begun > 0.04


async def test_at_rest_the_same_clock_ends_it():
    loop = asyncio.get_running_loop()
    lost = loop.create_future()
    async with asked(loop.time() + 60.0) as connection:
        connection.data_received(PLAIN)
        await whole(connection)
        connection.rest(loop.time() + 0.01, lost.set_result)

        assert await lost is connection
