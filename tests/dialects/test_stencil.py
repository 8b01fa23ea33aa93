"""Chunks that are matched many at a time are judged as if each had been parsed, however the stream is cut."""

import json
from itertools import pairwise

import pytest
from dialect_cases import DONE, ROLE, STOP, USAGE, a_stream_request, chunk, data
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.dialects.chat_stream import ChatGrammar
from proxy.dialects.event_stream import TypedGrammar
from proxy.dialects.openai import OPENAI_SIGNALS
from proxy.dialects.plain import Plain, plain_chunk, plain_delta
from proxy.dialects.stencil import NOTHING, Stencil
from proxy.dialects.stream import UNFIT, EventReader
from proxy.messages import Fed, Operation

PLAIN = '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'
PADDED = '{"id":"c","choices":[{"index":0,"delta":{"content":"%s"}}],"usage":null,"obfuscation":"%s"}'


def stencil(text: str, shown: str | None = None) -> Stencil:
    return Stencil(Plain(b"", b"data: ", plain_chunk(text.encode()), plain_chunk((shown or "").encode())))


def events(form: str, *texts: str | tuple[str, ...]) -> bytes:
    return b"".join(b"data: " + (form % text).encode("utf-8", "surrogatepass") + b"\n\n" for text in texts)


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (PLAIN, ["a"]),
        (PLAIN, ["a", "bc", r"\n", r"\"usage\"", "é漢🙂", r"\\", "data: "]),
        (PLAIN, ["},{"] * 300),
        (PADDED, [("a", "xyz")]),
        (PADDED, [("a", "xyz"), ("b", ""), (r"\"", "x")]),
        (
            '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}}]}',
            ["{", r"\"a\":"],
        ),
        ('{"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"%s"}}]}', ["Hm", "m"]),
        ('{"choices": [{"text": "%s", "index": 0, "finish_reason": null}], "model": "m"}', ["a", "b"]),
    ],
)
def test_a_run_of_plain_chunks_is_one_match(form, texts):
    run = events(form, *texts)
    assert stencil(form % texts[0]).run(run) == (run, len(run))


def test_the_run_ends_where_the_last_of_its_chunks_does():
    run = events(PLAIN, "a", "b")
    for rest in (data(STOP), data(DONE), b"data: {", b": ping\n\n", b"\n", events(PLAIN, "c")[:-1]):
        assert stencil(PLAIN % "x").run(run + rest) == (run, len(run))


@pytest.mark.parametrize("form", [PLAIN.replace("}]}", '}],"usage":null}'), PADDED])
def test_usage_that_nobody_asked_for_is_not_shown(form):
    texts = [("a", "p"), ("b", "")] if form is PADDED else ["a", "b"]
    silent = form.replace(',"usage":null', "")
    run = events(form, *texts)
    assert stencil(form % texts[0], silent % texts[0]).run(run) == (events(silent, *texts), len(run))


BETWEEN = '"}}],"usage":null,"obfuscation":"'


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        (PLAIN, [""]),
        (PLAIN, ["a", ""]),
        (PLAIN, ["\\"]),
        (PLAIN, ["a\\", "nb"]),  # no escape may begin in one text and end in the next
        (PLAIN, ["\\x"]),
        (PLAIN, ['a"']),
        (PLAIN, ['a","refusal":"b']),
        (PLAIN, ["a\nb"]),
        (PLAIN, ["a\rb"]),
        (PLAIN, ["a\n\ndata: b"]),
        (PLAIN, ['a"}}],"error":{"code":500}}\n\ndata: {"x":"', "b"]),
        (PLAIN, ["\ud83d"]),
        (PLAIN, ["a", "\x00"]),
        (PADDED, [("a\r", "b")]),
        (PADDED, [("", "b")]),
        (PADDED, [("a" + BETWEEN + "b", "c"), ("d", "e")]),
    ],
)
def test_what_is_no_text_is_no_match(form, texts):
    known = stencil(form % (("x", "y") if form is PADDED else "x"))
    assert known.run(events(form, *texts)) == NOTHING


def test_a_carriage_return_does_not_stand_for_what_is_between_two_texts():
    odd = events(PADDED, ("a", "b")).replace(BETWEEN.encode(), b"\r")
    assert stencil(PADDED % ("x", "y")).run(odd) == NOTHING


def test_two_paddings_in_one_chunk_do_not_make_up_for_none_in_another():
    odd = events(PADDED, ("a", "b" + BETWEEN + "c")) + events(PADDED, ("d", "e")).replace(BETWEEN.encode(), b"")
    assert stencil(PADDED % ("x", "y")).run(odd) == NOTHING


def a_reader():
    reader = EventReader(ChatGrammar(a_stream_request(), OPENAI_SIGNALS), OPENAI_SIGNALS)
    reader.feed(data(ROLE))
    return reader


def test_a_kind_of_event_that_comes_and_goes_is_expected_each_time():
    reader = a_reader()
    for created in range(10 * UNFIT):
        one = data(chunk({"content": "a"}, created=created))
        assert [reader.feed(one) for _ in range(3)] == [Fed(one, output=True)] * 3
        assert reader._stencil is not None


def test_nothing_is_expected_any_more_where_every_event_differs():
    reader = a_reader()
    for created in range(2 * UNFIT):
        one = data(chunk({"content": "a"}, created=created))
        assert reader.feed(one) == Fed(one, output=True)
    assert reader._stencil is None


class ParsingChunks(ChatGrammar):
    """The same grammar, which parses whatever comes."""

    def glance(self, event):
        return None


class ParsingTyped(TypedGrammar):
    """Here, too."""

    def glance(self, event):
        return None


def read(grammar, pieces):
    """Tell what comes of each piece of a stream, and what is known after it."""
    reader = EventReader(grammar, OPENAI_SIGNALS)
    steps = []
    for piece in pieces:
        steps.append(reader.feed(piece))
        if steps[-1].ended or steps[-1].failure:
            break
    else:
        steps.append(reader.close())
    return steps, reader.facts, reader.text, grammar.verdict()


def same_judgement(pieces, *, wants_usage=False, keep_text=False):
    request = a_stream_request(wants_usage=wants_usage)
    quick, slow = (
        read(grammar_of(request, OPENAI_SIGNALS, keep_text=keep_text), pieces)
        for grammar_of in (ChatGrammar, ParsingChunks)
    )
    assert quick == slow


def cut(stream, places):
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(ends)]


def delivered(bits, ending, places):
    """A stream as it may come: piece by piece as it was written, or cut anywhere."""
    bits = [bit.replace(b"\n", ending) for bit in bits if bit]
    return bits if places is None else cut(b"".join(bits), places)


TEXTS = st.sampled_from(
    ["a", " word", r"\n", r"\"", "\\", "é", "漢", "", '"', r"\u00e9", r"\ud83d", '"}]}', "\x01", "[DONE]"]
)
FORMS = [
    PLAIN,
    PLAIN.replace("}]}", '}],"usage":null}'),
    PADDED.replace('"obfuscation":"%s"', '"obfuscation":"x"'),
    PLAIN.replace('"c"', '"d"'),
    PLAIN.replace("null", '"stop"'),
    PLAIN.replace("content", "reasoning_content"),
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}}]}',
    json.dumps(chunk({"content": "%s"})),
    '{"choices":[{"index":0,"delta":{"content":"","reasoning":"%s","reasoning_details":[{"text":"b","format":null}]}}]}',
]
OTHERS = [
    data(ROLE),
    data(STOP),
    data(USAGE),
    data(DONE),
    data({"error": {"message": "x", "code": 429}}),
    b": ping\n\n",
    b"\n",
    b"id: 1\n\n",
    b"event: error\n",
    b"data: {",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
]
# Most chunks of a stream are alike, so a stream here has a favourite.
BITS = st.sampled_from(FORMS).flatmap(
    lambda form: st.lists(
        TEXTS.map(lambda text: events(form, text))
        | TEXTS.map(lambda text: events(form, text))
        | st.lists(TEXTS, max_size=4).map(lambda texts: events(form, *texts))
        | st.builds(events, st.sampled_from(FORMS), TEXTS)
        | st.sampled_from(OTHERS),
        max_size=12,
    )
)
CUTS = st.none() | st.lists(st.integers(0, 3000), max_size=6)
ENDINGS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])


@settings(max_examples=500, deadline=None)
@given(BITS, CUTS, ENDINGS, st.booleans(), st.booleans())
@example([data(ROLE), events(FORMS[-1], "a"), events(FORMS[-1], "b")], [], b"\n", False, False)  # noqa: FBT003
def test_the_short_cuts_change_nothing(bits, cuts, ending, wants_usage, keep_text):
    pieces = delivered([data(ROLE), *bits], ending, cuts)
    same_judgement(pieces, wants_usage=wants_usage, keep_text=keep_text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3), CUTS, st.sampled_from(FORMS))
def test_the_short_cuts_change_nothing_in_a_damaged_stream(damage, cuts, form):
    stream = bytearray(data(ROLE) + events(form, *["a", "bc", r"\n"] * 4) + data(STOP, DONE))
    for at, replacement in damage:
        stream[at % len(stream) : at % len(stream) + len(replacement)] = replacement
    same_judgement(cut(bytes(stream), cuts or []))


PADDINGS = st.sampled_from(["", "x", "xyz", r"\"", '"', BETWEEN, "\r"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXTS | st.just(BETWEEN), PADDINGS), max_size=8), CUTS, st.booleans())
def test_padding_is_passed_on_as_it_came(texts, cuts, wants_usage):
    pieces = delivered([data(ROLE), *[events(PADDED, text) for text in texts]], b"\n", cuts)
    same_judgement(pieces, wants_usage=wants_usage)


@pytest.mark.parametrize("begun", [b"event: error\n", b"data: {\n", b"data: {", b": c\n", b"\xff", b"id: 1\n", b"\r"])
def test_an_event_that_has_begun_is_not_forgotten(begun):
    plain = events(PLAIN, "a")
    same_judgement([data(ROLE), plain, plain, begun, plain, plain, data(DONE)])
    same_judgement([data(ROLE), plain, plain, plain + begun, plain, plain + data(DONE)])


def test_every_cut_of_a_stream_is_judged_alike():
    form = FORMS[1]
    stream = data(ROLE) + events(form, "a", "é", r"\n", "b") + data(STOP, USAGE, DONE)
    for at in range(len(stream)):
        same_judgement([stream[:at], stream[at:]])
        same_judgement([stream[:at], stream[at : at + 9], stream[at + 9 :]])
    same_judgement([stream[at : at + 1] for at in range(len(stream))])


TYPES = st.sampled_from(
    ["response.output_text.delta"] * 4
    + ["response.reasoning_text.delta", "response.output_text.done", "response.failed", "response.completed", "error"]
)
NUMBERS = st.sampled_from(["0", "7", "12", "345", "01", "-1", "1.5", '"8"'])


@st.composite
def typed(draw):
    """A typed event, as they come and as they do not."""
    kind = draw(TYPES)
    first, last = draw(st.sampled_from([(True, False), (True, False), (False, True), (False, False)]))
    number = f',"sequence_number":{draw(NUMBERS)}'
    said = f'"delta":"{draw(TEXTS)}"'
    more = draw(st.sampled_from(["", ',"logprobs":[]', ',"id":"x"', ',"error":null', ',"model":"m"', ',"delta":""']))
    padding = draw(st.sampled_from(["", "", ',"obfuscation":"ab"', ',"obfuscation":""']))
    document = f'{{"type":"{kind}"{number * first},"item_id":"i",{said}{more}{number * last}{padding}}}'
    line = draw(st.sampled_from([f"event: {kind}\n"] * 4 + ["", "event: error\n", "event: x.delta\n"]))
    return f"{line}data: {document}\n\n".encode()


@settings(max_examples=500, deadline=None)
@given(
    st.lists(typed() | st.lists(typed(), max_size=1).map(lambda one: b"".join(one * 3)), max_size=8),
    CUTS,
    ENDINGS,
    st.booleans(),
)
def test_the_short_cuts_change_nothing_in_a_stream_of_typed_events(bits, cuts, ending, keep_text):
    request = a_stream_request(Operation.RESPONSES)
    pieces = delivered(bits, ending, cuts)
    quick, slow = (
        read(grammar_of(request, OPENAI_SIGNALS, keep_text=keep_text), pieces)
        for grammar_of in (TypedGrammar, ParsingTyped)
    )
    assert quick == slow


def delta(number, text, padding):
    return (
        f'{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"msg_1","output_index":0,'
        f'"content_index":0,"delta":"{text}","logprobs":[],"obfuscation":"{padding}"}}'
    ).encode()


@pytest.mark.parametrize("line", [b"event: error\n", b"event: x.delta\n", b"event: x\n", b""])
def test_a_typed_event_is_passed_on_under_its_own_type_only(line):
    plain = b"data: " + delta(1, "a", "") + b"\n\n"
    grammars = [
        grammar_of(a_stream_request(Operation.RESPONSES), OPENAI_SIGNALS) for grammar_of in (TypedGrammar, ParsingTyped)
    ]
    quick, slow = (read(grammar, [line + plain, b"event: error\n" + plain]) for grammar in grammars)
    assert quick == slow


def test_numbers_may_differ_in_a_run_of_typed_events():
    begin = b"event: response.output_text.delta\ndata: "
    run = b"".join(begin + delta(number, text, "x" * number) + b"\n\n" for number, text in enumerate(["a", "b", r"\n"]))
    known = delta(10, "z", "")
    assert Stencil(Plain(b"", begin, plain_delta(known))).run(run) == (run, len(run))
    for number in ("01", "", "-1", '"1"'):
        odd = begin + delta(number, "a", "") + b"\n\n"
        assert Stencil(Plain(b"", begin, plain_delta(known))).run(odd) == (b"", 0)
