import re

import pytest
from dialect_cases import cuttings
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects.sse import Event, Splitter


def split(pieces: list[bytes], *, limit: int = 1 << 20) -> list[Event]:
    splitter = Splitter(limit)
    return [event for piece in pieces for event in splitter.feed(piece)]


def reference(stream: bytes) -> list[tuple[bytes | None, str]]:
    """WHATWG's algorithm in its simplest form: all lines at once, whole blocks only, no speed."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[tuple[bytes | None, str]] = []
    values: list[bytes] = []
    kind = ""
    for line in lines:
        if not line:
            events.append((b"\n".join(values) if values else None, kind or "message"))
            values, kind = [], ""
            continue
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if name == b"data":
            values.append(value)
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
    return events


STREAMS = {
    "plain": b'data: {"a":1}\n\ndata: [DONE]\n\n',
    "no space after the colon": b"data:x\n\ndata:  y\n\n",
    "CRLF": b"data: x\r\n\r\ndata: y\r\n\r\n",
    "bare CR": b"data: x\r\rdata: y\r\r",
    "CR, then CRLF": b"data: x\r\r\ndata: y\r\r\n",
    "mixed line ends": b"data: x\n\r\ndata: y\r\n\ndata: z\r\n\r\n\n",
    "byte-order mark": b"\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n",
    "byte-order mark alone on its line": b"\xef\xbb\xbf\r\n\r\ndata: x\n\n",
    "several data lines": b"data: a\ndata\ndata: b\n\n",
    "comments and blank lines": b"\n\n: ping\n\n\n\ndata: x\n: inside\n\n",
    "event types": b"event: error\ndata: x\n\nevent:\ndata: y\n\nevent: lost\n\ndata: z\n\n",
    "characters of several bytes": "data: é漢🙂\u2028\n\n".encode(),
    "unknown fields": b"id: 1\nretry: 5\nfoo\ndata: x\n\n",
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_every_cut_gives_the_same_events(stream):
    whole = split([stream])
    assert all(split(pieces) == whole for pieces in cuttings(stream))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_the_events_are_those_of_the_standard(stream):
    assert [(event.data, event.type) for event in split([stream])] == reference(stream)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_joined_raw_bytes_are_the_input(stream):
    splitter = Splitter()
    raw = b"".join(event.raw for event in splitter.feed(stream))
    assert raw + bytes(splitter._buffer) == stream


pieces_of_streams = st.lists(
    st.sampled_from(
        [b"data: ", b"data", b"event: e", b":", b"x", b"\r", b"\n", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xc3"]
    )
)


@settings(max_examples=300, deadline=None)
@given(pieces_of_streams)
def test_any_stream_in_any_slices_is_read_as_the_standard_says(pieces):
    stream = b"".join(pieces)
    events = split(pieces)
    assert events == split([stream])
    expected = reference(stream)
    found = [(event.data, event.type) for event in events]
    rest = Splitter()
    rest.feed(stream)
    if stream.endswith(b"\r") and len(found) < len(expected):  # a CR may be half of a CRLF until the stream ends
        closing = rest.close()
        assert closing is not None
        found.append((closing.data, closing.type))
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30)))
def test_no_byte_is_lost_or_made_up(pieces):
    splitter = Splitter()
    raw = b"".join(event.raw for piece in pieces for event in splitter.feed(piece))
    rest = splitter.close()
    stream = b"".join(pieces)
    assert stream.startswith(raw)
    assert (raw + rest.raw if rest else raw).startswith(stream)


@pytest.mark.parametrize("begun", [b"data: x\n", b"event: e\n", b"event: e\ndata: x\n", b"data: x", b": c\n"])
def test_what_had_begun_is_read_once(begun):
    rest = b"\ndata: y\n\n"
    assert split([begun, rest, b": c\n\n", b"data: z\n\n"]) == split([begun + rest + b": c\n\ndata: z\n\n"])


def test_a_bare_cr_stream_is_not_held_up():
    assert split([b"data: x\r\r"]) == [Event(b"data: x\r\r", b"x")]


def test_a_cr_at_the_end_waits_for_its_lf():
    splitter = Splitter()
    assert splitter.feed(b"data: x\r\n\r") == []
    assert splitter.feed(b"\n") == [Event(b"data: x\r\n\r\n", b"x")]


@pytest.mark.parametrize(
    ("rest", "completed"),
    [
        (b"data: [DONE]", b"data: [DONE]\n\n"),
        (b"data: [DONE]\n", b"data: [DONE]\n\n"),
        (b"data: [DONE]\r\n", b"data: [DONE]\r\n\n"),
        (b"data: [DONE]\r\n\r", b"data: [DONE]\r\n\r"),
    ],
)
def test_the_rest_is_completed_at_the_end(rest, completed):
    splitter = Splitter()
    assert splitter.feed(rest) == []
    assert splitter.close() == Event(completed, b"[DONE]")


def test_nothing_is_left_after_a_whole_event():
    splitter = Splitter()
    splitter.feed(b"data: x\n\n")
    assert splitter.close() is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_event_over_the_limit_is_reported_after_the_events_before_it(size, end):
    stream = (b"data: ok\n\ndata: " + b"x" * 50 + b"\n\ndata: late\n\n").replace(b"\n", end)
    splitter = Splitter(limit=40)
    events = [event for at in range(0, len(stream), size) for event in splitter.feed(stream[at : at + size])]
    assert [event.data for event in events] == [b"ok"]
    assert splitter.overflow
    assert splitter.close() is None


def test_an_endless_event_does_not_grow_the_buffer():
    splitter = Splitter(limit=1000)
    for _ in range(100):
        assert splitter.feed(b"x" * 100) == []
    assert splitter.overflow
    assert len(splitter._buffer) == 0


def test_an_event_of_exactly_the_limit_is_read():
    event = b"data: " + b"x" * 32 + b"\n\n"
    assert len(split([event], limit=len(event))) == 1
    assert len(split([event[:-1], event[-1:]], limit=len(event))) == 1


def test_a_large_event_in_single_bytes_searches_each_byte_once():
    # Counted, not timed: what has been searched once lies before `_scanned` and is not searched again.
    splitter = Splitter()
    for _ in range(5000):
        splitter.feed(b"x")
        assert splitter._scanned == len(splitter._buffer)
