import json

import pytest
from dialect_cases import (
    DONE,
    HELLO,
    ROLE,
    STOP,
    USAGE,
    a_reader,
    a_stream_request,
    chunk,
    cuttings,
    data,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects import DIALECTS
from proxy.errors import ErrorClass
from proxy.messages import Operation

OPENAI = DIALECTS["openai"]
OPENROUTER = DIALECTS["openrouter"]
TOOL = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}


def read(stream, request=None, dialect=OPENAI):
    return run(a_reader(dialect, request or a_stream_request()), [stream])


GOOD = {
    "chat": data(ROLE, HELLO, STOP, USAGE, DONE),
    "comments first": b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + data(ROLE, HELLO, STOP, DONE),
    "CRLF": data(ROLE, HELLO, STOP, DONE).replace(b"\n", b"\r\n"),
    "byte-order mark": b"\xef\xbb\xbf" + data(ROLE, HELLO, STOP, DONE),
    "Azure's first chunk": data({"id": "", "choices": [], "prompt_filter_results": []}, ROLE, HELLO, STOP, DONE),
    "tool call": data(ROLE, chunk(TOOL), chunk(finish="tool_calls"), DONE),
    "two choices": data(HELLO, chunk({"content": "b"}, index=1), STOP, chunk(finish="stop", index=1), DONE),
    "error null in every chunk": data(chunk({"content": "x"}, error=None), chunk(finish="stop", error=None), DONE),
    "length with nothing said": data(ROLE, chunk(finish="length"), DONE),
}


@pytest.mark.parametrize("stream", GOOD.values(), ids=GOOD.keys())
def test_a_good_stream_passes_unchanged_however_it_is_cut(stream):
    for pieces in cuttings(stream):
        fed = run(a_reader(OPENAI, a_stream_request()), pieces)
        assert (fed.forward, fed.ended, fed.output, fed.failure) == (stream, True, True, None)


BAD = {
    "role chunk, then the end": (data(ROLE), ErrorClass.BROKEN),
    "cut after content": (data(ROLE, HELLO), ErrorClass.BROKEN),
    "cut inside an event": (data(ROLE, HELLO) + b'data: {"choices":[{"index":0,"del', ErrorClass.BROKEN),
    "[DONE] without a finish": (data(ROLE, HELLO, DONE), ErrorClass.BROKEN),
    "[DONE] with one choice of two finished": (data(HELLO, chunk({"content": "b"}, index=1), STOP, DONE), "broken"),
    "nothing at all": (b"", ErrorClass.BROKEN),
    "only comments": (b": ping\n\n: ping\n\n", ErrorClass.BROKEN),
    "stop with nothing said": (data(ROLE, STOP, DONE), ErrorClass.SOFT_FAILURE),
    "stop with nothing said, no [DONE]": (data(ROLE, STOP), ErrorClass.SOFT_FAILURE),
    "tool_calls without a call": (data(ROLE, chunk(finish="tool_calls"), DONE), ErrorClass.SOFT_FAILURE),
    "filtered away": (data(ROLE, chunk(finish="content_filter"), DONE), ErrorClass.CONTENT_POLICY),
    "error object": (data(ROLE, {"error": {"message": "x", "type": "server_error"}}), ErrorClass.SERVER_ERROR),
    "error object, unknown": (data(HELLO, {"error": {"message": "odd"}}), ErrorClass.SOFT_FAILURE),
    "error string": (data(HELLO, {"error": "overloaded"}), ErrorClass.OVERLOADED),
    "rate limit in the stream": (data(ROLE, {"error": {"code": 429, "message": "slow"}}), ErrorClass.RATE_LIMITED),
    "numeric string code": (data(ROLE, {"error": {"code": "503", "message": "slow"}}), ErrorClass.OVERLOADED),
    "vLLM's older shape": (data(HELLO, {"object": "error", "message": "x", "code": 400}, DONE), "invalid_request"),
    "event: error": (b'event: error\ndata: {"message":"x","code":"server_is_overloaded"}\n\n', ErrorClass.OVERLOADED),
    "event: error in words": (b"event: error\ndata: overloaded\n\n", ErrorClass.OVERLOADED),
    "llama.cpp's error line": (b'error: {"code":500,"message":"x"}\n\n', ErrorClass.SERVER_ERROR),
    "Groq's error": (data(HELLO, {"choices": [], "x_groq": {"error": "over capacity"}}), ErrorClass.SOFT_FAILURE),
    "finish error": (data(HELLO, chunk(finish="error"), DONE), ErrorClass.SERVER_ERROR),
    "DeepSeek out of resources": (data(HELLO, chunk(finish="insufficient_system_resource")), ErrorClass.OVERLOADED),
    "error without its blank line": (data(HELLO) + b'data: {"error":{"code":502,"message":"x"}}', "overloaded"),
}


@pytest.mark.parametrize(("stream", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_stream_fails_the_same_however_it_is_cut(stream, expected):
    for pieces in cuttings(stream):
        fed = run(a_reader(OPENAI, a_stream_request()), pieces)
        assert fed.failure is not None
        assert fed.failure.error_class == expected
        assert not fed.ended
        assert stream.startswith(fed.forward)
        assert b"error" not in fed.forward
        assert b"[DONE]" not in fed.forward


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
@pytest.mark.parametrize("code", [502, "502", "server_error"])
def test_openrouters_mid_stream_error_ends_the_stream(code, tail):
    error = {"code": code, "message": "gone", "metadata": {"error_type": "provider_unavailable"}}
    stream = data(HELLO, {**chunk({"content": ""}, finish="error"), "error": error}) + tail
    fed = read(stream, dialect=OPENROUTER)
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.OVERLOADED
    assert fed.forward == data(HELLO)


@pytest.mark.parametrize(
    ("delta", "output"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": None}, False),
        ({"content": ""}, False),
        ({"refusal": None, "tool_calls": []}, False),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "", "index": 0}]}, False),
        ({"content": "a"}, True),
        ({"content": [{"type": "text", "text": "a"}]}, True),
        ({"reasoning": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, True),
        ({"refusal": "no"}, True),
        (TOOL, True),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a", "data": "AAAA"}}, True),
        ({"images": [{"type": "image_url", "image_url": {"url": "data:x"}}]}, True),
    ],
)
def test_only_what_is_said_is_output(delta, output):
    assert a_reader(OPENAI, a_stream_request()).feed(data(chunk(delta))).output is output


def test_text_of_a_completion_is_output():
    request = a_stream_request(Operation.COMPLETIONS)
    stream = data(
        {"choices": [{"index": 0, "text": "a", "finish_reason": None}]},
        {"choices": [{"text": "", "finish_reason": "stop"}]},
        DONE,
    )
    assert read(stream, request).ended


def test_the_end_without_done_forges_none():
    stream = data(ROLE, HELLO, STOP)
    fed = read(stream)
    assert (fed.ended, fed.forward) == (True, stream)


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]"])
def test_a_done_without_its_blank_line_is_completed(last):
    fed = read(data(HELLO, STOP) + last)
    assert fed.ended
    assert fed.forward == data(HELLO, STOP) + last.rstrip() + b"\n\n"


def test_a_finish_without_its_blank_line_is_completed():
    fed = read(data(HELLO) + data(STOP).rstrip())
    assert fed.ended
    assert fed.forward == data(HELLO, STOP)


def test_content_without_its_blank_line_is_dropped():
    fed = read(data(HELLO) + data(HELLO).rstrip())
    assert fed.failure is not None
    assert fed.forward == data(HELLO)


def test_nothing_after_done_is_forwarded():
    assert read(data(HELLO, STOP, DONE, HELLO)).forward == data(HELLO, STOP, DONE)


def test_one_malformed_event_is_left_out_and_counted():
    reader = a_reader(OPENAI, a_stream_request())
    fed = run(reader, [data(HELLO, '{"choices":[{', STOP, DONE)])
    assert fed.ended
    assert fed.forward == data(HELLO, STOP, DONE)
    assert reader.facts.skipped_events == 1


def test_many_malformed_events_are_a_broken_stream():
    fed = read(data(HELLO, *["{"] * 4, STOP, DONE))
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.BROKEN


def test_words_instead_of_json_are_keep_alives():
    reader = a_reader(OPENAI, a_stream_request())
    fed = run(reader, [data(*["ping"] * 50, "", "null", HELLO, STOP, DONE)])
    assert (fed.ended, fed.forward, reader.facts.skipped_events) == (True, data(HELLO, STOP, DONE), 0)


def test_fields_without_data_are_left_out_for_the_sdk():
    fed = read(b"id: 7\n\nevent: x\n\nretry: 5\n\n: c\n\n" + data(HELLO, STOP, DONE))
    assert fed.forward == b": c\n\n" + data(HELLO, STOP, DONE)


def test_an_oversized_event_breaks_the_stream_after_what_came_before():
    reader = a_reader(OPENAI, a_stream_request())
    fed = reader.feed(data(HELLO) + b"data: " + b"x" * (4 * 1024 * 1024 + 1))
    assert fed.forward == data(HELLO)
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.BROKEN


def test_usage_that_was_not_asked_for_is_stripped_at_every_cut():
    nulled = {**HELLO, "usage": None}
    stream = data(nulled, STOP, USAGE, DONE)
    for pieces in cuttings(stream):
        reader = a_reader(OPENAI, a_stream_request(wants_usage=False))
        fed = run(reader, pieces)
        events = fed.forward.split(b"\n\n")
        assert json.loads(events[0].removeprefix(b"data: ")) == HELLO
        assert events[1:] == [data(STOP).strip(), b"data: [DONE]", b""]
        assert (reader.facts.input_tokens, reader.facts.output_tokens) == (5, 2)


def test_usage_beside_a_finish_is_cut_out_of_the_chunk():
    last = {**chunk(finish="stop"), "usage": {"prompt_tokens": 1}}
    fed = read(data(HELLO, last, DONE), a_stream_request(wants_usage=False))
    assert b"usage" not in fed.forward
    assert b'"finish_reason":"stop"' in fed.forward


def test_the_usage_that_is_cut_out_is_the_chunks_own():
    last = {**chunk(finish="stop"), "usage": {"prompt_tokens": 1}}
    last["choices"][0]["usage"] = None
    assert b"prompt_tokens" not in read(data(HELLO, last), a_stream_request(wants_usage=False)).forward


def test_half_an_emoji_survives_a_rewriting():
    half = data({**chunk({"content": "\ud83d"}), "usage": None})
    forward = a_reader(OPENAI, a_stream_request(wants_usage=False)).feed(half).forward
    assert json.loads(forward.removeprefix(b"data: "))["choices"][0]["delta"]["content"] == "\ud83d"


def test_a_large_number_survives_a_rewriting():
    last = {**chunk(finish="stop"), "usage": {"prompt_tokens": 1}, "seed": 2**70}
    assert str(2**70).encode() in read(data(HELLO, last), a_stream_request(wants_usage=False)).forward


def test_usage_that_was_asked_for_passes():
    assert data(USAGE) in read(GOOD["chat"]).forward


def test_the_facts_are_told():
    reader = a_reader(OPENAI, a_stream_request())
    run(reader, [GOOD["chat"]])
    assert (reader.facts.id, reader.facts.model, reader.facts.finish_reasons) == ("c1", "m-dated", ("stop",))


def test_groqs_usage_is_read_and_unknown_is_not_zero():
    reader = a_reader(OPENAI, a_stream_request())
    run(reader, [data(HELLO, {**STOP, "x_groq": {"usage": {"prompt_tokens": 3}}}, DONE)])
    assert (reader.facts.input_tokens, reader.facts.output_tokens) == (3, None)


def test_text_is_kept_only_on_demand_and_bounded():
    stream = data(ROLE, HELLO, chunk({"content": "x" * 100_000}), STOP, DONE)
    kept = a_reader(OPENAI, a_stream_request(), keep_text=True)
    run(kept, [stream])
    assert kept.text.startswith("Héxxx")
    assert len(kept.text) == 64 * 1024
    not_kept = a_reader(OPENAI, a_stream_request())
    run(not_kept, [stream])
    assert not_kept.text == ""


def test_an_empty_answer_is_good_when_the_clients_stop_sequence_came_first():
    stream = data(ROLE, STOP, USAGE, DONE)
    assert read(stream, a_stream_request(stop=["\n"])).ended
    assert read(stream).failure is not None


def test_length_without_any_token_is_an_empty_answer():
    stream = data(ROLE, chunk(finish="length"), {"choices": [], "usage": {"completion_tokens": 0}}, DONE)
    fed = read(stream)
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.SOFT_FAILURE


KEYS = [
    "error",
    "choices",
    "delta",
    "usage",
    "index",
    "finish_reason",
    "content",
    "type",
    "response",
    "x_groq",
    "code",
    "message",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(json_values.map(lambda value: data(json.dumps(value))) | st.binary(max_size=20), max_size=5))
def test_no_stream_raises(pieces):
    for dialect in DIALECTS.values():
        fed = run(a_reader(dialect, a_stream_request(wants_usage=False)), pieces)
        assert fed.ended is not (fed.failure is not None)
