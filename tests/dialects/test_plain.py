import json

import pytest
from dialect_cases import a_stream_request
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.dialects.chat_stream import ChatGrammar
from proxy.dialects.openai import OPENAI_SIGNALS
from proxy.dialects.plain import plain_chunk
from proxy.dialects.sse import Event
from proxy.dialects.stream import EventReader

FIRST = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
TEXTS = st.text(max_size=6) | st.sampled_from(["", "hi", '"', "\\", "\n", "é", "error", '"usage":1'])
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": TEXTS | st.none(),
        "refusal": st.none() | TEXTS,
        "reasoning": st.none() | TEXTS,
        "reasoning_content": st.none() | TEXTS,
        "reasoning_details": st.just([])
        | TEXTS.map(lambda text: [{"type": "reasoning.text", "text": text, "index": 0}]),
        "tool_calls": st.just([{}]) | st.just([{"index": 0, "function": {"arguments": "x"}}]) | st.none(),
    },
)
CHOICES = st.fixed_dictionaries(
    {"index": st.sampled_from([0, 0, 0, 1]), "delta": DELTAS},
    optional={
        "finish_reason": st.sampled_from([None, None, "stop", "error"]),
        "logprobs": st.none(),
        "text": TEXTS,
        "error": st.just({"code": 1}),
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, min_size=1, max_size=2) | st.lists(CHOICES, min_size=1, max_size=1)},
    optional={
        "id": st.just("c"),
        "object": st.sampled_from(["chat.completion.chunk", "error"]),
        "created": st.integers(),
        "model": TEXTS,
        "usage": st.none() | st.just({"prompt_tokens": 1}),
        "error": st.just({"message": "x"}),
        "provider": TEXTS | st.none() | st.booleans() | st.floats(),
        "obfuscation": TEXTS,
    },
)
MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), max_size=2)


class Parsing(ChatGrammar):
    """The same grammar without the glance."""

    def glance(self, event):
        return None


def verdict(grammar_of, data, wants_usage):
    grammar = grammar_of(a_stream_request(wants_usage=wants_usage), OPENAI_SIGNALS)
    reader = EventReader(grammar, OPENAI_SIGNALS)
    reader.feed(b"data: " + json.dumps(FIRST).encode() + b"\n\n")
    return reader.feed(b"data: " + data + b"\n\n"), grammar.facts, grammar.verdict()


HI = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}


@settings(max_examples=300, deadline=None)
@given(chunk=CHUNKS, escaped=st.booleans(), compact=st.booleans(), mutations=MUTATIONS, wants_usage=st.booleans())
@example(chunk=HI, escaped=True, compact=True, mutations=[], wants_usage=True)
def test_a_glance_says_what_parsing_would_say(chunk, escaped, compact, mutations, wants_usage):
    separators = (",", ":") if compact else None
    data = bytearray(json.dumps(chunk, ensure_ascii=escaped, separators=separators).encode("utf-8", "surrogatepass"))
    for at, replacement in mutations:
        data[at % len(data) : at % len(data) + 1] = replacement.replace(b"\r", b"").replace(b"\n", b"")
    assert verdict(ChatGrammar, bytes(data), wants_usage) == verdict(Parsing, bytes(data), wants_usage)


DELTA = '{"choices":[{"index":0,"delta":%s}]}'
CHOICE = '{"choices":[%s]}'
MEMBER = '{"choices":[{"index":0,"delta":{"content":"a"}}],%s}'
CALL = '"tool_calls":[{"index":0,"function":{"arguments":"a"}}]'


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize(
    "chunk",
    [
        DELTA % '{"content":"a","content":""}',
        DELTA % '{"content":"a","content":null}',
        DELTA % '{"content":null,"content":"a"}',
        DELTA % '{"content":"a","usage":null}',
        DELTA % '{"usage":null,"content":"a"}',
        DELTA % '{"reasoning":"a","usage":null}',
        DELTA % '{"reasoning":"a","reasoning":null}',
        DELTA % '{"reasoning_content":"a","reasoning_content":null}',
        DELTA % ("{" + CALL + ',"tool_calls":null}'),
        DELTA % '{"reasoning":"a","reasoning_details":[{"text":"a","text":""}],"reasoning":null}',
        DELTA % '{"content":"a"},"delta":null',
        DELTA % '{"content":"a"},"text":null',
        DELTA % '{"content":"a"},"usage":null',
        DELTA % '{"content":"a"},"message":null',
        DELTA % '{"content":"a"},"error":"b"',
        DELTA % '{"content":"a"},"index":1',
        CHOICE % '{"text":"a","text":null}',
        CHOICE % '{"text":"a","delta":null}',
        CHOICE % '{"text":"a","usage":null}',
        *[
            MEMBER % member
            for member in (
                '"choices":null',
                '"choices":[]',
                '"error":"b"',
                '"error":1',
                '"error":null',
                '"type":"error"',
                '"type":"b"',
                '"object":"error"',
                '"object":null',
                '"x_groq":"b"',
                '"x_groq":{"error":"b"}',
                '"usage":"b"',
                '"usage":null,"usage":null',
                '"usage":null,"usage":"b"',
                '"model":"\\"usage"',
                '"\\u0065rror":"b"',
            )
        ],
        '{ "usage":null, "choices":[{"delta":{"content":"a"}}]}',
        '{"usage":null, "choices":[{"delta":{"content":"a"}}]}',
        '{"usage":null,"choices":[{"delta":{"content":"\\"usage"}}]}',
        '{"choices":[{"delta":{"content":"\\"usage"}}]}',
    ],
)
def test_a_glance_is_not_deceived_by_what_stands_twice_or_in_the_wrong_place(chunk, wants_usage):
    data = chunk.encode()
    assert verdict(ChatGrammar, data, wants_usage) == verdict(Parsing, data, wants_usage)


@pytest.mark.parametrize(
    "data",
    [
        b'{"object":"chat.completion.chunk","created":1,"choices":[{"index":0,"delta":{"content":"w"},"finish_reason":null}]}',
        b'{"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "\\u00e9"}}]}',
        '{"choices":[{"index":0,"delta":{"content":"日本"}}],"model":"m"}'.encode(),
        b'{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":null}',
        b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"x"}}],"created":1,"timings":null}',
        b'{"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"x"},"token_ids":null}]}',
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"x"}}]}',
        b'{"choices":[{"delta":{"content":"","reasoning":"x","reasoning_details":[{"type":"r","text":"x","index":0}]}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}',
        b'{"choices":[{"text":"x","index":0,"logprobs":null}],"obfuscation":"abc"}',
    ],
)
def test_the_common_chunk_is_recognised(data):
    assert plain_chunk(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"index":0,"delta":{"content":""}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{}}',
        b'{"choices":[{"index":0,"delta":{"content":"\\q"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"index":1,"delta":{"content":"x"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x"}}]} ',
        b'{"object":"error","choices":[{"index":0,"delta":{"content":"x"}}]}',
    ],
)
def test_anything_else_is_left_to_the_parser(data):
    assert not plain_chunk(data)


def test_an_event_of_another_type_is_parsed():
    grammar = ChatGrammar(a_stream_request(), OPENAI_SIGNALS)
    grammar.take(Event(b"", b"", "message"), FIRST)
    plain = b'{"choices":[{"index":0,"delta":{"content":"x"}}]}'
    assert grammar.glance(Event(plain, plain, "message")) is not None
    assert grammar.glance(Event(plain, plain, "error")) is None
