import pytest
from lab import records

from proxy.errors import AllProvidersFailed, ClientError, DeadlineExceeded, ErrorClass, Failure


def test_a_traceparent_is_w3c_trace_context():
    assert records.record().traceparent(0xAB) == "00-0af7651916cd43dd8448eb211c80319c-00000000000000ab-01"


def test_a_trace_that_is_not_sampled_says_so():
    assert records.record(sampled=False).traceparent(1).endswith("-00")


@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        ("", []),
        ("a", []),
        ("aa", []),
        ("ab", [("a", "b")]),
        ("aab", [("a", "b")]),
        ("aba", [("a", "b"), ("b", "a")]),
        ("abc", [("a", "b"), ("b", "c")]),
    ],
)
def test_a_failover_is_a_change_of_provider(providers, expected):
    attempts = [records.failed_call(number, name) for number, name in enumerate(providers, 1)]

    assert [(before, after) for before, after, _ in records.record(*attempts).failovers] == expected


def test_a_failover_tells_how_the_one_before_ended():
    slow = records.failed_call(1, "a", ErrorClass.TIMEOUT, status=None)

    assert records.record(slow, records.call(2, "b")).failovers == [("a", "b", "timeout")]


def test_a_rung_tells_provider_class_status_and_time():
    summary = records.failed_call(1, "a", took=0.12345).summary()

    assert (summary.provider, summary.error_class, summary.status, summary.milliseconds) == (
        "a",
        "overloaded",
        503,
        123.5,
    )


def test_the_rung_of_a_success_is_ok():
    assert records.call().summary().error_class == "ok"


def test_the_rung_of_an_attempt_that_still_runs_has_no_negative_time():
    assert records.call(ended=0.0).summary().milliseconds == 0.0


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, False),
        ({"cancelled": True}, False),
        ({"error": ClientError("no")}, False),
        ({"error": AllProvidersFailed("no")}, True),
        ({"error": DeadlineExceeded("no")}, True),
        ({"broken": Failure(error_class=ErrorClass.BROKEN, message="cut")}, True),
    ],
)
def test_a_request_failed_when_we_failed_the_client(changes, failed):
    assert records.record(**changes).failed is failed
