"""The template says what a dictionary would, whatever a request was, and nothing that a request may not tell."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import records

from proxy.errors import AllProvidersFailed, ClientError, ErrorClass, Failure, ProviderVerdict
from proxy.messages import AnswerFacts, Operation
from proxy.record import milliseconds
from proxy.telemetry.facts import bounded, error_type
from proxy.telemetry.request_line import request_line, request_log
from proxy.telemetry.summary import iso_time, summary_of


def test_a_request_tells_its_ladder():
    line = request_log(summary_of(records.failover()))
    assert line["attempts"] == [
        {"provider": "alpha", "class": "overloaded", "ms": 200.0, "status": 503},
        {"provider": "beta", "class": "ok", "ms": 500.0, "status": 200},
    ]
    assert (line["provider"], line["failover"], line["outcome"], line["ms"]) == ("beta", True, "ok", 2000.0)


def test_a_request_tells_when_it_ended_and_which_trace_it_is():
    line = request_log(summary_of(records.success()))
    assert line["time"] == "2027-01-15T08:00:02.000Z"
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["request_id"] == "req-1"


def test_a_request_sums_its_tokens_and_tells_its_first_output():
    line = request_log(summary_of(records.success()))
    assert (line["input_tokens"], line["output_tokens"], line["first_output_ms"]) == (7, 3, 1400.0)


def test_what_is_unknown_is_left_out():
    assert {"input_tokens", "first_output_ms", "degraded", "error"}.isdisjoint(
        request_log(summary_of(records.failover()))
    )


def test_a_request_never_tells_words():
    record = records.success(captured_output="canary", request=records.request(body=b"canary"))
    assert "canary" not in json.dumps(request_log(summary_of(record)))
    assert "secret plan" not in json.dumps(request_log(summary_of(record)))


@pytest.mark.parametrize(
    ("record", "level"),
    [
        (records.success(), "info"),
        (records.cancelled(), "info"),
        (records.verdict(), "info"),
        (records.failover(), "warning"),
        (records.success(degraded="static"), "warning"),
        (records.all_failed(), "error"),
        (records.broken_stream(), "error"),
    ],
)
def test_the_level_tells_how_bad_it_was(record, level):
    assert summary_of(record).level == level


WORDS = st.text(st.characters(), max_size=120) | st.sampled_from(["", "fast", '"\\', "\x7f", "\n", "\ud800", "ü"])
SECONDS = st.floats(0, 1e6)
COUNTS = st.none() | st.integers(0, 10**9)
FAILURES = st.none() | st.builds(
    Failure, error_class=st.sampled_from(ErrorClass), message=st.just("failed"), status=st.none() | st.just(503)
)
ERRORS = st.none() | st.just(AllProvidersFailed("all")) | st.builds(ClientError, st.just("no"), code=st.none() | WORDS)
ERRORS |= st.builds(ProviderVerdict, FAILURES.filter(bool))
ATTEMPTS = st.builds(
    records.call,
    provider=WORDS,
    at=SECONDS,
    took=st.floats(-1, 1e6),
    status=st.none() | st.integers(100, 599),
    failure=FAILURES,
    hedge=st.sampled_from(["", "winner", "loser"]),
    facts=st.builds(AnswerFacts, input_tokens=COUNTS, output_tokens=COUNTS),
)
CHANGES = st.fixed_dictionaries(
    {
        "request": st.builds(
            records.request, id=WORDS, model=WORDS, stream=st.booleans(), operation=st.sampled_from(Operation)
        ),
        "trace_id": st.integers(1, (1 << 128) - 1).map("{:032x}".format),
        "route": WORDS,
        "provider": WORDS,
        "generation": WORDS,
        "status": st.integers(0, 599),
        "error": ERRORS,
        "broken": FAILURES,
        "cancelled": st.booleans(),
        "degraded": st.sampled_from(["", "static"]),
        "cache": st.sampled_from(["", "hit", "miss"]),
        "ended": st.floats(-1, 1e6).map(records.STARTED.__add__),
        "first_output_at": st.none() | st.floats(-1, 1e6).map(records.STARTED.__add__),
        "response_bytes": st.integers(0, 10**12),
    }
)
RECORDS = st.builds(lambda attempts, changes: records.record(*attempts, **changes), st.lists(ATTEMPTS), CHANGES)


def fields(record):
    """The documented fields in their order, told in full and then sifted."""
    first, facts = record.first_output_at, [attempt.facts for attempt in record.attempts]
    told = {
        "time": iso_time(record.ended + record.wall_offset),
        "level": summary_of(record).level,
        "logger": "sidestep.request",
        "message": "request",
        "request_id": record.request.id,
        "trace_id": record.trace_id,
        "route": record.route or None,
        "operation": record.request.operation.value,
        "model": bounded(record.request.model, 100) or None,
        "stream": record.request.stream or None,
        "provider": record.provider or None,
        "status": record.status,
        "outcome": record.outcome,
        "error": error_type(record),
        "attempts": [rung(attempt.summary()) for attempt in record.attempts],
        "failover": bool(record.failovers),
        "degraded": record.degraded or None,
        "cache": record.cache or None,
        "ms": milliseconds(record.ended - record.started),
        "first_output_ms": None if first is None else milliseconds(first - record.started),
        "input_tokens": total(each.input_tokens for each in facts),
        "output_tokens": total(each.output_tokens for each in facts),
        "bytes": record.response_bytes,
        "generation": record.generation or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def rung(summary):
    told = {"provider": summary.provider, "class": summary.error_class, "ms": summary.milliseconds}
    return told if summary.status is None else {**told, "status": summary.status}


def total(counts):
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@given(RECORDS)
def test_the_line_is_the_json_of_its_fields_to_the_byte(record):
    encoded = json.dumps(fields(record), separators=(",", ":"), allow_nan=False).replace("\x7f", "\\u007f")
    assert request_line(summary_of(record)) == encoded


@given(RECORDS)
def test_the_line_is_ascii_without_control_characters(record):
    line = request_line(summary_of(record))
    assert line.isascii()
    assert line.isprintable()


def test_a_model_s_name_of_any_length_is_cut():
    line = request_line(summary_of(records.success(request=records.request(model="\u2028" * 10_000))))
    assert len(line) < 1200


@given(st.floats(0, 4e9))
def test_a_time_is_told_to_the_millisecond_that_has_begun(wall):
    told = datetime.fromisoformat(iso_time(wall)).timestamp()
    assert -1e-6 < wall - told < 0.001 + 1e-6


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_of_whole_milliseconds_is_told_exactly(milliseconds):
    second, rest = divmod(milliseconds, 1000)
    assert iso_time(milliseconds / 1000) == f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"
