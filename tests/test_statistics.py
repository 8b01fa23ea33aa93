"""The counts have the names that the library documents, and add up."""

import pytest
from lab import records

from proxy.messages import AnswerFacts
from proxy.statistics import Statistics


def counted(*finished):
    statistics = Statistics(since=100.0)
    for record in finished:
        statistics.observe([record])
    return statistics


def test_without_requests_everything_is_zero():
    assert counted().document() == {
        "since": 100.0,
        "total_requests": 0,
        "successful_requests": 0,
        "failover_count": 0,
        "success_rate": 0.0,
        "provider_usage": {},
        "outcomes": {},
    }


def test_an_answered_request_counts_for_the_provider_that_answered():
    document = counted(records.success()).document()
    assert (document["total_requests"], document["successful_requests"]) == (1, 1)
    assert document["provider_usage"] == {"alpha": 1}


@pytest.mark.parametrize("cache", ["hit", "shared"])
def test_an_answer_from_memory_is_nobody_s_work(cache):
    document = counted(records.record(cache=cache, provider="alpha")).document()
    assert (document["successful_requests"], document["provider_usage"]) == (1, {})


def test_an_old_answer_does_not_count_for_who_failed_to_give_a_new_one():
    stale = records.record(records.failed_call(), cache="stale", degraded="stale_cache", provider="alpha")
    assert counted(stale).document()["provider_usage"] == {}


def test_a_failover_is_counted_only_when_one_happened():
    assert counted(records.success()).document()["failover_count"] == 0
    assert counted(records.failover()).document()["failover_count"] == 1


def test_a_failover_gives_the_answer_to_who_gave_it():
    assert counted(records.failover()).document()["provider_usage"] == {"beta": 1}


def test_repeats_on_one_provider_are_no_failover():
    attempts = [records.failed_call(1), records.call(2, resend=1, at=0.6)]
    assert counted(records.record(*attempts)).document()["failover_count"] == 0


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (records.broken_stream(), "broken"),
        (records.cancelled(), "cancelled"),
        (records.all_failed(), "failed"),
        (records.verdict(), "refused"),
    ],
    ids=["broken", "cancelled", "failed", "refused"],
)
def test_a_request_that_was_not_answered_is_no_success_of_anybody(record, outcome):
    document = counted(record).document()
    assert document["successful_requests"] == 0
    assert document["provider_usage"] == {}
    assert document["outcomes"] == {outcome: 1}


def test_the_success_rate_is_a_share_of_all_requests():
    assert counted(records.success(), records.all_failed()).document()["success_rate"] == 0.5


def test_every_request_has_exactly_one_outcome():
    finished = [records.success(), records.failover(), records.cancelled(), records.all_failed(), records.verdict()]
    document = counted(*finished).document()
    assert sum(document["outcomes"].values()) == document["total_requests"] == len(finished)


def test_a_reset_counts_from_zero_and_says_since_when():
    statistics = counted(records.failover())
    statistics.reset(200.0)
    assert statistics.document() == Statistics(since=200.0).document()


def test_the_pace_is_tokens_over_the_time_from_the_first_output():
    facts = AnswerFacts(output_tokens=30)
    attempt = records.call(took=2.0, first_output_at=records.STARTED + 0.5, facts=facts)
    assert counted(records.record(attempt)).paces["alpha"].tokens_per_second == 20.0


def test_an_answer_that_told_no_tokens_says_nothing_of_the_pace():
    assert counted(records.record(records.call())).paces == {}
