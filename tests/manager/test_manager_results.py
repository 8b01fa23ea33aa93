"""Results made from answers, whatever an answer holds: no socket, no engine."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.manager.backend import Answer
from proxy.manager.results import health_result, image_result, text_result
from proxy.manager.stream import StreamedText

HEADERS = {"x-sidestep-provider": "p1", "x-sidestep-attempts": "2", "x-sidestep-failover": "true", "x-request-id": "r1"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def answer(document, status=200):
    return Answer(status, HEADERS, json.dumps(document).encode())


def chunk(**delta):
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def events(*documents, done=True):
    lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def streamed(data):
    text = StreamedText(Answer(200, HEADERS))
    return text.feed(data), text.end()


# A shape that almost fits is where a reader of foreign JSON fails.
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.lists(st.fixed_dictionaries({}, optional={"message": JSON, "delta": JSON, "index": JSON}))
        for name in ("choices", "model", "usage", "data", "error")
    },
)


@settings(max_examples=50)
@given(NEARLY, st.sampled_from([200, 400, 502]))
def test_no_answer_makes_a_result_raise(document, status):
    assert {"content", "error"} & set(text_result(answer(document, status)))
    image = image_result(answer(document, status))
    assert isinstance(image, str) or "error" in image


@given(NEARLY)
def test_no_event_makes_a_stream_raise(document):
    text, last = streamed(events(document))
    assert isinstance(text, str)
    assert {"content", "error"} & set(last)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_an_error_of_its_own(body):
    result = text_result(Answer(200, HEADERS, body))
    assert (result["code"], result["status"]) == ("bad_answer", 502)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no", "status": 400}, "no"),
        ({"message": "no"}, "no"),
        ({}, "the answer has the status 400"),
    ],
)
def test_a_verdict_is_read_in_whatever_shape_a_provider_wrote_it(document, said):
    assert text_result(answer(document, 400))["error"] == said


def test_a_refusal_is_a_text():
    result = text_result(answer({"choices": [{"message": {"content": None, "refusal": "I would rather not."}}]}))
    assert result["content"] == "I would rather not."


@given(st.data())
def test_a_stream_may_be_cut_anywhere(data):
    calls = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"in":'}},
        {"index": 0, "function": {"arguments": '"Köln"}'}},
    ]
    whole = events(
        chunk(role="assistant", content=""),
        chunk(content="Grüß "),
        chunk(content="Gott"),
        *(chunk(tool_calls=[call]) for call in calls),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"total_tokens": 3}},
    )
    cut = data.draw(st.integers(0, len(whole)))
    text = StreamedText(Answer(200, HEADERS))
    assert text.feed(whole[:cut]) + text.feed(whole[cut:]) == "Grüß Gott"
    last = text.end()
    assert last["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in":"Köln"}'}}
    ]
    assert (last["finish_reason"], last["usage"], last["attempts"]) == ("tool_calls", {"total_tokens": 3}, 2)


def test_a_stream_without_its_end_is_an_error():
    text, last = streamed(events(chunk(content="half an "), done=False))
    assert (text, last["code"]) == ("half an ", "bad_answer")


def test_the_error_in_a_stream_is_its_end():
    error = {"error": {"message": "it broke", "code": "stream_broken"}}
    text, last = streamed(events(chunk(content="a"), error, chunk(content="b")))
    assert (text, last["code"], last["error"]) == ("a", "stream_broken", "it broke")


def test_a_connection_that_breaks_after_the_end_took_nothing_away():
    text = StreamedText(Answer(200, HEADERS))
    text.feed(events(chunk(content="a")))
    text.break_off("the connection broke")
    assert "error" not in text.end()


FOUND = {"endpoint": "http://127.0.0.1/", "finding": "ok", "health": "healthy", "seconds": 0.25, "error": None}


def checked(status="unknown", *, configured=True, **found):
    return health_result({"health": {"status": status}, "configured": configured, "checks": [FOUND | found]})


def test_a_check_that_passed_is_health_even_before_traffic_returns():
    result = checked("unhealthy")
    assert (result.healthy, result.response_time, result.error_message) == (True, 0.25, None)
    assert result.status == "unhealthy"


def test_a_check_that_failed_is_not():
    result = checked("healthy", finding="failed", error="refused")
    assert (result.healthy, result.error_message) == (False, "refused")


@pytest.mark.parametrize(
    ("status", "configured", "healthy"),
    [("unknown", True, True), ("degraded", True, True), ("unhealthy", True, False), ("unknown", False, False)],
)
def test_where_nothing_could_be_asked_what_is_known_decides(status, configured, healthy):
    found = checked(status, configured=configured, finding="skipped", seconds=0.0, error="there is nothing to ask it")
    assert (found.healthy, found.response_time) == (healthy, 0.0)
