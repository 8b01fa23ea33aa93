from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.tally import Tally

SPAN = 20.0
"""Slices are one second long under this span, which keeps the arithmetic readable."""


def test_a_new_tally_is_empty():
    assert Tally().totals(100.0, SPAN) == (0, 0)


def test_both_kinds_are_counted_apart():
    tally = Tally()
    tally.add(100.0, SPAN, first=1)
    tally.add(101.0, SPAN, second=2)
    tally.add(101.5, SPAN, first=1, second=1)
    assert tally.totals(102.0, SPAN) == (2, 3)


def test_what_is_older_than_the_span_is_forgotten():
    tally = Tally()
    tally.add(100.0, SPAN, first=1)
    tally.add(110.0, SPAN, first=1)
    assert tally.totals(119.9, SPAN) == (2, 0)
    assert tally.totals(121.0, SPAN) == (1, 0)
    assert tally.totals(131.0, SPAN) == (0, 0)


def test_an_event_told_a_little_late_is_counted_all_the_same():
    tally = Tally()
    tally.add(101.2, SPAN, first=1)
    tally.add(100.9, SPAN, first=1)
    assert tally.totals(101.2, SPAN) == (2, 0)
    assert len(tally._slices) == 1
    assert tally.totals(122.0, SPAN) == (0, 0)


def test_an_event_told_late_is_counted_even_when_all_before_it_is_forgotten():
    tally = Tally()
    tally.add(100.0, SPAN, first=1)
    assert tally.totals(200.0, SPAN) == (0, 0)
    tally.add(100.5, SPAN, first=1)
    assert tally.totals(101.0, SPAN) == (1, 0)


def test_another_span_begins_anew():
    tally = Tally()
    tally.add(100.0, SPAN, first=1)
    assert tally.totals(100.0, SPAN * 2) == (0, 0)


def test_clearing_forgets_everything():
    tally = Tally()
    tally.add(100.0, SPAN, first=1, second=1)
    tally.clear()
    assert tally.totals(100.0, SPAN) == (0, 0)


def test_memory_does_not_grow_with_the_number_of_events():
    tally = Tally()
    for event in range(20_000):
        tally.add(event * 0.01, SPAN, first=1)
    assert len(tally._slices) <= 21


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0.5, 100))
def test_nothing_within_the_span_is_missed_and_nothing_much_older_is_counted(pauses, span):
    tally, times, now = Tally(), [], 0.0
    for pause in pauses:
        now += pause
        times.append(now)
        tally.add(now, span, first=1)
    rounding = 1e-6
    certain = sum(now - time < span - rounding for time in times)
    possible = sum(now - time <= span * 1.05 + rounding for time in times)
    assert certain <= tally.totals(now, span)[0] <= possible
