"""Which requests may be at two providers at once, and after which delay."""

import pytest

from proxy.config.snapshot import Hedge, Quantile
from proxy.messages import Operation, Request
from proxy.resilience.hedging import MIN_HISTORY, hedge_delay, may_hedge
from proxy.resilience.window import Window

AFTER_A_SECOND = Hedge(delay=1.0)


def question(**changes):
    fields = {"id": "r", "operation": Operation.CHAT, "path": "/v1/chat/completions", "body": b"", "document": {}}
    return Request(**(fields | changes))


def lately(*first_outputs):
    window = Window()
    for seconds in first_outputs:
        window.record(100.0, ok=True, duration=seconds + 1.0, first_output=seconds)
    return window


@pytest.mark.parametrize("replay", ["auto", "always"])
def test_a_plain_question_may_be_asked_twice(replay):
    assert may_hedge(question(), AFTER_A_SECOND, replay=replay)


def test_what_may_not_be_replayed_is_not_hedged():
    assert not may_hedge(question(), AFTER_A_SECOND, replay="never")


def test_tools_are_hedged_only_when_the_policy_says_so():
    assert not may_hedge(question(tools=True), AFTER_A_SECOND, replay="always")
    assert may_hedge(question(tools=True), Hedge(delay=1.0, tools=True), replay="auto")


def test_what_lives_at_one_provider_is_never_hedged():
    assert not may_hedge(question(pinned=True), Hedge(delay=1.0, tools=True), replay="always")


def test_images_are_hedged_only_where_they_may_be_replayed():
    picture = question(operation=Operation.IMAGES)
    assert not may_hedge(picture, AFTER_A_SECOND, replay="auto")
    assert may_hedge(picture, AFTER_A_SECOND, replay="always")


def test_a_fixed_delay_needs_no_history():
    assert hedge_delay(AFTER_A_SECOND, Window(), 100.0) == 1.0


@pytest.mark.parametrize(("quantile", "seconds"), [("p50", 1.0), ("p95", 2.0), ("p99", 4.0)])
def test_a_quantile_is_that_of_the_provider_s_own_first_outputs(quantile, seconds):
    window = lately(*[1.0] * 90, *[2.0] * 7, *[4.0] * 3)
    assert hedge_delay(Hedge(delay=Quantile(quantile)), window, 100.0) == pytest.approx(seconds, rel=0.05)


def test_with_too_little_history_there_is_no_quantile():
    for attempts, known in ((MIN_HISTORY - 1, False), (MIN_HISTORY, True)):
        delay = hedge_delay(Hedge(delay=Quantile.P95), lately(*[1.0] * attempts), 100.0)
        assert (delay is not None) is known


def test_failures_alone_make_no_quantile():
    window = Window()
    for _ in range(MIN_HISTORY):
        window.record(100.0, ok=False, duration=1.0, first_output=None)
    assert hedge_delay(Hedge(delay=Quantile.P95), window, 100.0) is None


def test_hedging_does_not_make_a_provider_look_faster_than_it_is():
    """Round after round the slowest twentieth is outrun at p95; p95 stays where it was."""
    window = lately(*[1.0] * 95, *[3.0] * 5)
    before = hedge_delay(Hedge(delay=Quantile.P95), window, 100.0)
    for _ in range(10):
        for _ in range(19):
            window.record(100.0, ok=True, duration=1.0, first_output=1.0)
        window.outlasted(100.0, 1.1)
    assert hedge_delay(Hedge(delay=Quantile.P95), window, 101.0) >= before


def test_an_outrun_attempt_alone_counts_neither_as_success_nor_as_failure():
    window = Window()
    window.outlasted(100.0, 2.0)
    seen = window.performance(100.0)
    assert (seen.requests, seen.success_rate, seen.uptime_percentage) == (0, None, None)
    assert seen.first_output_p50 == pytest.approx(2.0, rel=0.05)
