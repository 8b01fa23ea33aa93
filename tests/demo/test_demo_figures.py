"""The figures of the demo say what the app saw."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.demo.figures import Answer, summarise

OUTAGE, RECOVERY = 100.0, 200.0


def answer(asked_at, waited=0.02, provider="primary", **facts):
    return Answer(asked_at=asked_at, output_at=asked_at + waited, provider=provider, **facts)


CALM = [answer(90.0), answer(91.0, 0.03), answer(92.0, 0.02)]
RESCUED = [answer(100.5, 0.06, "secondary", failed_over=True), answer(101.0, 0.02, "secondary")]
BACK = [answer(201.0, 0.02, "secondary"), answer(203.0, 0.5)]


def test_the_usual_wait_is_the_median_before_the_outage():
    assert round(summarise([*CALM, *RESCUED, *BACK], OUTAGE, RECOVERY).usual_wait, 6) == 0.02


def test_the_worst_added_wait_is_the_slowest_answer_of_the_outage_over_the_usual():
    assert round(summarise([*CALM, *RESCUED, *BACK], OUTAGE, RECOVERY).worst_added, 6) == 0.04


def test_the_time_to_fail_over_ends_with_the_secondarys_first_output():
    assert round(summarise([*CALM, *RESCUED], OUTAGE, RECOVERY).failed_over_in, 6) == 0.56


def test_a_question_that_waited_when_the_primary_died_belongs_to_the_outage():
    waiting = answer(99.99, 0.05, "secondary", failed_over=True)
    summary = summarise([*CALM, waiting], OUTAGE, RECOVERY)
    assert (round(summary.failed_over_in, 6), round(summary.worst_added, 6)) == (0.04, 0.03)


def test_the_time_to_return_ends_with_the_primarys_first_output_after_the_recovery():
    assert round(summarise([*CALM, *RESCUED, *BACK], OUTAGE, RECOVERY).returned_in, 6) == 3.5


def test_failovers_and_what_the_breaker_kept_away_are_told_apart():
    summary = summarise([*CALM, *RESCUED, *BACK], OUTAGE, RECOVERY)
    assert (summary.failovers, summary.kept_away) == (1, 2)


def test_an_error_is_never_an_answer():
    summary = summarise([*CALM, *RESCUED, *BACK, answer(102.0, error="broken")], OUTAGE, RECOVERY)
    assert (summary.errors, sum(summary.by_provider.values()), summary.good) == (["broken"], 7, False)


def test_a_run_without_errors_that_failed_over_and_returned_is_good():
    assert summarise([*CALM, *RESCUED, *BACK], OUTAGE, RECOVERY).good


def test_a_run_from_which_the_primary_never_returned_is_not_good():
    summary = summarise([*CALM, *RESCUED], OUTAGE, RECOVERY)
    assert (summary.returned_in, summary.good) == (None, False)


def test_a_run_without_a_failover_is_not_good():
    assert not summarise([*CALM, RESCUED[1], *BACK], OUTAGE, RECOVERY).good


ANSWERS = st.builds(
    answer,
    st.floats(0, 300),
    st.floats(0, 10),
    st.sampled_from(["primary", "secondary"]),
    failed_over=st.booleans(),
    error=st.sampled_from(["", "broken"]),
)


@given(st.lists(ANSWERS))
def test_every_question_is_counted_once(answers):
    summary = summarise(answers, OUTAGE, RECOVERY)
    assert summary.requests == sum(summary.by_provider.values()) + len(summary.errors)


@given(st.lists(ANSWERS))
def test_no_measured_time_is_negative(answers):
    summary = summarise(answers, OUTAGE, RECOVERY)
    times = (summary.usual_wait, summary.worst_added, summary.failed_over_in, summary.returned_in)
    assert all(time is None or time >= 0 for time in times)
