import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.window import Performance, Window


def filled(durations, *, now=1000.0):
    window = Window()
    for duration in durations:
        window.record(now, ok=True, duration=duration, first_output=None)
    return window


def test_nothing_seen_is_not_zero():
    assert Window().performance(1000.0) == Performance()
    assert Performance().success_rate is None
    assert Performance().uptime_percentage is None


def test_successes_and_failures_make_the_success_rate():
    window = filled([1.0, 1.0, 1.0])
    window.record(1000.0, ok=False, duration=9.0, first_output=None)
    performance = window.performance(1000.0)
    assert performance.requests == 4
    assert performance.success_rate == 0.75


def test_times_are_of_successes_only():
    window = filled([1.0, 3.0])
    window.record(1000.0, ok=False, duration=500.0, first_output=400.0)
    performance = window.performance(1000.0)
    assert performance.average_response_time == 2.0
    assert performance.p99 == pytest.approx(3.0, rel=0.05)
    assert performance.first_output_p50 is None


def test_failures_alone_leave_every_time_unknown():
    window = Window()
    window.record(1000.0, ok=False, duration=1.0, first_output=None)
    performance = window.performance(1000.0)
    assert performance.success_rate == 0.0
    assert (performance.average_response_time, performance.p50, performance.p95, performance.p99) == (None,) * 4


def test_the_first_output_has_its_own_median():
    window = Window()
    for first_output in (0.2, 0.4, 8.0):
        window.record(1000.0, ok=True, duration=10.0, first_output=first_output)
    performance = window.performance(1000.0)
    assert performance.first_output_p50 == pytest.approx(0.4, rel=0.05)
    assert performance.p50 == pytest.approx(10.0, rel=0.05)


def test_what_is_older_than_the_window_is_forgotten():
    window = filled([1.0] * 5)
    window.record(1200.0, ok=True, duration=20.0, first_output=3.0)
    assert window.performance(1290.0).requests == 6
    late = window.performance(1320.0)
    assert late.requests == 1
    assert late.p50 == pytest.approx(20.0, rel=0.05)
    assert window.performance(1600.0) == Performance()


def test_nothing_is_forgotten_before_its_time():
    assert filled([1.0], now=1009.0).performance(1308.0).requests == 1


def test_an_attempt_told_a_little_late_is_counted_all_the_same():
    window = filled([1.0], now=1010.0)
    window.record(1009.0, ok=True, duration=1.0, first_output=None)
    assert window.performance(1010.0).requests == 2
    assert len(window._slices) == 1


def test_an_attempt_told_late_is_counted_even_when_all_before_it_is_forgotten():
    window = filled([1.0], now=1000.0)
    assert window.performance(1400.0) == Performance()
    window.record(1009.0, ok=True, duration=1.0, first_output=None)
    assert window.performance(1009.5).requests == 1


def test_a_record_is_seen_at_once():
    window = filled([1.0])
    assert window.performance(1000.0).requests == 1
    window.record(1000.0, ok=True, duration=1.0, first_output=None)
    assert window.performance(1000.0).requests == 2


def test_without_a_record_the_result_is_given_out_again_for_half_a_second():
    window = filled([1.0])
    first = window.performance(1000.0)
    assert window.performance(1000.4) is first
    assert window.performance(1000.5) is not first


def test_the_rate_counts_a_minute_at_least():
    assert filled([1.0] * 3).performance(1001.0).requests_per_minute == pytest.approx(3.0)


def test_the_rate_is_per_minute_of_what_was_observed():
    window = Window()
    for now in range(1000, 1240):
        window.record(float(now), ok=True, duration=1.0, first_output=None)
    assert window.performance(1240.0).requests_per_minute == pytest.approx(60.0)


def test_uptime_is_the_part_of_the_time_with_requests_in_which_something_worked():
    window = Window()
    for now, ok in ((1000.0, True), (1000.0, False), (1010.0, True), (1020.0, False), (1200.0, True)):
        window.record(now, ok=ok, duration=1.0, first_output=None)
    assert window.performance(1200.0).uptime_percentage == 75.0


def test_memory_does_not_grow_with_the_number_of_records():
    window, chance = Window(), random.Random(1)
    for step in range(20_000):
        window.record(step * 0.1, ok=True, duration=chance.lognormvariate(0, 5), first_output=chance.random())
    assert len(window._slices) <= 31
    assert len(window._durations) <= 230


def test_histograms_stay_the_sum_of_their_slices_as_time_passes():
    window, chance = Window(length=30.0), random.Random(2)
    for step in range(2_000):
        window.record(step * 0.5, ok=True, duration=chance.expovariate(1), first_output=None)
    assert sum(window._durations.values()) == sum(sum(each.durations.values()) for each in window._slices)


@pytest.mark.parametrize("duration", [0.0, 1e-9, 1e9])
def test_extreme_times_are_counted_as_the_nearest_bucket(duration):
    p50 = filled([duration]).performance(1000.0).p50
    assert p50 is not None
    assert 0 < p50 < 1.1e5


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=200))
def test_percentiles_are_within_five_percent_of_the_exact_ones(durations):
    performance = filled(durations).performance(1000.0)
    ordered = sorted(durations)
    for rank, measured in ((50, performance.p50), (95, performance.p95), (99, performance.p99)):
        exact = ordered[-(-rank * len(ordered) // 100) - 1]
        assert measured == pytest.approx(exact, rel=0.05)


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.floats(0, 100)), max_size=60))
def test_the_summary_is_always_within_its_ranges(records):
    window, now = Window(), 0.0
    for pause, ok, duration in records:
        now += pause
        window.record(now, ok=ok, duration=duration, first_output=duration / 2)
        performance = window.performance(now)
        assert performance.requests >= 1
        assert performance.success_rate is not None
        assert 0 <= performance.success_rate <= 1
        assert performance.uptime_percentage is not None
        assert 0 <= performance.uptime_percentage <= 100
        assert performance.requests_per_minute > 0
        if performance.p50 is not None:
            assert performance.p50 <= performance.p95 <= performance.p99
