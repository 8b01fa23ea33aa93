import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import records

from proxy.errors import ErrorClass, Failure, NoProviderAvailable
from proxy.telemetry.facts import bounded, error_type, maybe_billed, overhead


@pytest.mark.parametrize(
    ("record", "ended", "error"),
    [
        (records.success(), "ok", None),
        (records.success(degraded="model"), "degraded", None),
        (records.failover(), "ok", None),
        (records.broken_stream(), "broken", "broken"),
        (records.broken_stream(cancelled=True), "broken", "broken"),
        (records.cancelled(), "cancelled", None),
        (records.all_failed(), "failed", "all_providers_failed"),
        (records.record(error=NoProviderAvailable("none")), "failed", "no_provider_available"),
        (records.verdict(), "refused", "invalid_request"),
    ],
)
def test_every_request_has_one_outcome_and_at_most_one_error(record, ended, error):
    assert (record.outcome, error_type(record)) == (ended, error)


@pytest.mark.parametrize(
    ("error_class", "sent", "expected"),
    [
        (ErrorClass.TIMEOUT, True, True),
        (ErrorClass.BROKEN, True, True),
        (ErrorClass.CANCELLED, True, True),
        (ErrorClass.BROKEN, False, False),
        (ErrorClass.OVERLOADED, True, False),
    ],
)
def test_only_a_sent_request_of_unknown_fate_may_be_billed(error_class, sent, expected):
    failure = Failure(error_class=error_class, message="m", sent=sent)
    assert maybe_billed(records.call(failure=failure)) is expected


def test_an_answer_is_not_maybe_billed():
    assert maybe_billed(records.call()) is False


def test_overhead_is_what_attempts_and_waits_leave():
    record = records.record(records.call(1, at=0.25, took=0.5), records.call(2, at=1.0, took=0.75, waited=0.125))
    assert overhead(record) == pytest.approx(2.0 - 0.5 - 0.75 - 0.125)


def test_overlapping_attempts_count_once():
    record = records.record(records.call(1, at=0.0, took=1.5), records.call(2, at=0.5, took=0.5))
    assert overhead(record) == pytest.approx(0.5)


def test_without_an_attempt_all_of_it_is_overhead():
    assert overhead(records.record()) == 2.0


@given(st.text(st.characters(), max_size=30), st.integers(0, 40))
def test_bounded_text_is_short_and_valid_utf8(text, limit):
    cut = bounded(text, limit)
    assert len(cut) <= limit
    cut.encode()
