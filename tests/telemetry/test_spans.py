import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import records
from lab.otlp import received_span
from msgspec.structs import replace
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Operation
from proxy.record import Event, Step
from proxy.telemetry.spans import SpanMaker

BITS = random.Random(7).getrandbits


def spans(record, *, content=False):
    """The spans as a collector reads them."""
    written = SpanMaker(bits=BITS, content=content).spans(record)
    return [received_span(span, {}, "") for span in ScopeSpans.FromString(written).spans]


def by_kind(record, **options):
    server, operation, *rest = spans(record, **options)
    return server, operation, [span for span in rest if span.kind == "CLIENT"]


def test_the_server_span_hangs_under_the_callers_span():
    server = spans(records.success(parent_span_id=0xCA11, trace_state="vendor=1"))[0]
    assert server.parent_id == f"{0xCA11:016x}"
    assert server.remote_parent
    assert server.trace_id == records.TRACE_ID
    assert server.trace_state == "vendor=1"


def test_without_a_caller_the_server_span_is_a_root():
    assert spans(records.success())[0].parent_id == ""


def test_times_are_wall_clock_nanoseconds():
    server = spans(records.success())[0]
    assert server.start == 1_800_000_000 * 10**9
    assert server.end - server.start == 2 * 10**9


def test_the_operation_span_tells_the_question_and_the_answer():
    _, operation, _ = by_kind(records.success())
    assert operation.name == "chat fast"
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "alpha",
        "gen_ai.request.model": "fast",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.model": "alpha-model-1",
        "gen_ai.response.id": "cmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "sidestep.route": "chat",
        "sidestep.attempts": 1,
        "sidestep.failover": False,
        "sidestep.generation": "abc123def456",
    }
    assert expected.items() <= dict(operation.attributes).items()


def test_every_client_span_is_both_an_http_call_and_a_model_call():
    _, _, (attempt,) = by_kind(records.success())
    assert attempt.name == "POST /v1/chat/completions"
    expected = {
        "http.request.method": "POST",
        "url.full": "https://alpha.test/v1/chat/completions",
        "server.address": "alpha.test",
        "server.port": 443,
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "alpha-model",
        "sidestep.provider": "alpha",
        "sidestep.attempt": 1,
        "sidestep.time_to_first_output": 1.4,
    }
    assert expected.items() <= dict(attempt.attributes).items()


def test_a_repeat_tells_how_often_it_was_sent_before():
    _, _, attempts = by_kind(records.all_failed())
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, None]


def test_a_url_loses_its_user_query_and_fragment():
    record = records.record(records.call(url="http://user:canary@[::1]:8000/v1/x?key=canary#canary"))
    _, _, (attempt,) = by_kind(record)
    assert attempt.attributes["url.full"] == "http://[::1]:8000/v1/x"
    assert (attempt.attributes["server.address"], attempt.attributes["server.port"]) == ("::1", 8000)


def test_steps_and_attempts_hang_under_the_operation():
    server, operation, *turns_and_calls = spans(records.failover())
    assert operation.parent_id == server.span_id
    assert {span.parent_id for span in turns_and_calls} == {operation.span_id}


def test_no_two_spans_share_an_identifier():
    made = spans(records.failover())
    assert len({span.span_id for span in made}) == len(made) == 6


def test_a_failure_that_was_recovered_from_is_an_error_on_its_attempt_alone():
    server, operation, (first, second) = by_kind(records.failover())
    assert first.status == "ERROR"
    assert first.attributes["error.type"] == "503"
    assert first.attributes["sidestep.error_class"] == "overloaded"
    for span in (server, operation, second):
        assert span.status == "UNSET"
        assert "error.type" not in span.attributes
    assert operation.attributes["sidestep.failover"] is True


def test_a_cut_stream_is_an_error_on_attempt_operation_and_server():
    server, operation, (attempt,) = by_kind(records.broken_stream())
    for span in (server, operation, attempt):
        assert span.status == "ERROR"
        assert span.description == "the stream ended early"
        assert span.attributes["error.type"] == "broken"


def test_the_clients_leaving_is_no_error_anywhere():
    record = records.cancelled(steps=[Step("admission", records.STARTED, error="cancelled")])
    for span in spans(record):
        assert span.status == "UNSET"
        assert "error.type" not in span.attributes


def test_when_all_fail_the_whole_trace_is_an_error():
    server, operation, attempts = by_kind(records.all_failed())
    for span in (server, operation):
        assert span.status == "ERROR"
        assert span.attributes["error.type"] == "all_providers_failed"
    assert all(span.status == "ERROR" for span in attempts)


def test_a_4xx_is_an_error_on_the_client_span_and_none_on_the_server_span():
    server, operation, (attempt,) = by_kind(records.verdict())
    assert server.status == "UNSET"
    assert server.attributes["http.response.status_code"] == 400
    assert attempt.status == "ERROR"
    assert attempt.attributes["error.type"] == "400"
    assert operation.attributes["error.type"] == "invalid_request"


def test_a_status_that_says_it_all_is_not_described_again():
    _, _, (attempt, _) = by_kind(records.failover())
    assert attempt.description == ""


def test_a_connection_that_failed_is_described():
    failure = Failure(error_class=ErrorClass.CONNECT, message="connection refused", sent=False)
    _, _, (attempt,) = by_kind(records.record(records.call(failure=failure, status=None)))
    assert attempt.attributes["error.type"] == "connect"
    assert attempt.description == "connection refused"
    assert "http.response.status_code" not in attempt.attributes


def test_a_step_that_refused_is_an_error():
    step = Step("rate_limit", records.STARTED, records.STARTED + 0.1, error="shed")
    span = spans(records.record(steps=[step]))[2]
    assert (span.name, span.status, span.attributes["error.type"]) == (
        "rate_limit",
        "ERROR",
        "shed",
    )


def test_what_was_never_closed_ends_with_the_request():
    step = Step("strategy", records.STARTED + 1.0)
    assert spans(records.record(steps=[step]))[2].end == (1_800_000_000 + 2) * 10**9


def test_events_keep_their_name_moment_and_attributes():
    _, operation, _ = by_kind(records.failover())
    (event,) = operation.events
    assert event.name == "failover"
    assert dict(event.attributes) == {"from": "alpha", "to": "beta", "reason": "overloaded"}
    assert event.at == int((1_800_000_000 + 0.35) * 1e9)


def test_events_of_attempts_stay_with_them():
    change = Event("breaker.change", records.STARTED, {"to": "open"})
    record = records.record(records.call(events=(change,)), steps=[Step("breaker", records.STARTED)])
    _, operation, step, attempt = spans(record)
    assert [len(span.events) for span in (operation, step, attempt)] == [0, 0, 1]


def test_words_are_told_only_when_asked_for():
    document = {"messages": [{"role": "user", "content": "canary"}], "stop": ["canary"], "prompt": "canary"}
    record = records.success(request=records.request(document=document), captured_output="canary")
    assert not any("canary" in str(dict(span.attributes)) for span in spans(record))
    _, operation, _ = by_kind(record, content=True)
    assert "canary" in operation.attributes["gen_ai.input.messages"]
    assert "canary" in operation.attributes["gen_ai.output.messages"]
    assert operation.attributes["gen_ai.request.stop_sequences"] == ["canary"]


def test_a_path_that_is_no_endpoint_never_names_a_span():
    server = spans(records.record(request=records.request(path="/v1/whatever/42")))[0]
    assert server.name == "POST"
    assert "url.path" not in server.attributes


@pytest.mark.parametrize(
    ("document", "name", "value"),
    [
        ({"temperature": 1}, "gen_ai.request.temperature", 1.0),
        ({"temperature": "hot"}, "gen_ai.request.temperature", None),
        ({"temperature": True}, "gen_ai.request.temperature", None),
        ({"temperature": math.nan}, "gen_ai.request.temperature", None),
        ({"temperature": 10**400}, "gen_ai.request.temperature", None),
        ({"max_tokens": 5}, "gen_ai.request.max_tokens", 5),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "gen_ai.request.max_tokens", 6),
        ({"seed": 2**63}, "gen_ai.request.seed", None),
        ({"seed": 10**400}, "gen_ai.request.seed", None),
        ({"seed": -(2**63)}, "gen_ai.request.seed", -(2**63)),
        ({"n": 1}, "gen_ai.request.choice.count", None),
        ({"n": 3}, "gen_ai.request.choice.count", 3),
        ({"response_format": {"type": "json_schema"}}, "gen_ai.output.type", "json"),
        ({"response_format": {"type": ["json"]}}, "gen_ai.output.type", None),
        ({"encoding_format": ["float"]}, "gen_ai.request.encoding_formats", None),
        ({"encoding_format": "base64"}, "gen_ai.request.encoding_formats", ["base64"]),
    ],
)
def test_a_setting_is_told_only_when_it_has_the_right_type(document, name, value):
    _, operation, _ = by_kind(records.success(request=records.request(document=document)))
    assert operation.attributes.get(name) == value


@pytest.mark.parametrize(("operation", "value"), [(Operation.IMAGES, "image"), (Operation.SPEECH, "speech")])
def test_the_output_of_images_and_speech_is_named(operation, value):
    _, span, _ = by_kind(records.success(request=records.request(operation=operation)))
    assert span.attributes["gen_ai.output.type"] == value


def test_a_long_model_name_is_cut():
    _, operation, _ = by_kind(records.record(request=records.request(model="m" * 5000)))
    assert operation.name == "chat " + "m" * 100
    assert operation.attributes["gen_ai.request.model"] == "m" * 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["model", "messages", "temperature", "top_p", "seed", "n", "stop", "max_tokens", "response_format", "dimensions"]
)
ANY_TEXT = st.text(st.characters(), max_size=8)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": JSON, "content": JSON}, optional={"tool_calls": JSON, "tool_call_id": JSON}) | JSON,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=6), MESSAGES, ANY_TEXT, st.integers() | st.none(), st.booleans())
def test_nothing_that_a_client_or_provider_writes_spoils_the_batch(document, messages, text, number, content):
    facts = AnswerFacts(id=text, model=text, input_tokens=number, output_tokens=number, finish_reasons=(text,))
    failure = Failure(error_class=ErrorClass.SOFT_FAILURE, message=text, code=text, status=200)
    attempt = replace(records.call(), facts=facts, failure=failure, events=(Event("retry", 0.0, {"why": text}),))
    request = records.request(id=text, model=text, document=document | {"messages": messages})
    record = records.record(attempt, request=request, captured_output=text)
    assert len(spans(record, content=content)) == 3
