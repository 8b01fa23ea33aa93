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


@pytest.mark.parametrize("winner", [0, 1])
def test_being_outrun_is_no_failover(winner):
    attempts = [records.call(1, "a"), records.call(2, "b")]
    for place, attempt in enumerate(attempts):
        attempt.hedge = "winner" if place == winner else "loser"

    assert records.record(*attempts).failovers == []


def test_a_hedge_that_answers_for_one_that_failed_is_a_failover():
    failed, good = records.failed_call(1, "a", hedge="failed"), records.call(2, "b", hedge="winner")

    assert records.record(failed, good).failovers == [("a", "b", "overloaded")]


def test_the_attempt_that_served_is_the_last_one_of_the_provider_that_answered():
    first, outrun = records.call(1, "a"), records.call(2, "b")

    assert records.record(first, outrun, provider="a").served() is first


@pytest.mark.parametrize("cache", ["hit", "stale", "shared"])
def test_an_answer_from_memory_was_served_by_no_attempt(cache):
    assert records.record(records.failed_call(1, "a"), cache=cache, provider="a").served() is None


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
