"""What several rounds say together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Told, ratio, tell
from bench.measures import added_p50

SPEED = st.floats(0.01, 1e6)


def test_the_median_stands_between_the_least_and_the_most():
    assert tell([3.0, 1.0, 2.0]) == Told(2.0, 1.0, 3.0)
    assert tell([5.0]) == Told(5.0, 5.0, 5.0)


def test_a_machine_that_slows_down_leaves_the_ratio_alone():
    assert ratio([20.0, 10.0, 2.0], [10.0, 5.0, 1.0]) == 2.0


@given(st.lists(st.tuples(SPEED, SPEED), min_size=1, max_size=9), st.lists(SPEED, min_size=9, max_size=9))
def test_whatever_slows_both_in_a_round_leaves_the_ratio_alone(rounds, slowness):
    own, base = [own for own, _ in rounds], [base for _, base in rounds]
    slower = [[value * factor for value, factor in zip(series, slowness, strict=False)] for series in (own, base)]
    assert ratio(*slower) == pytest.approx(ratio(own, base))


def test_rounds_that_only_one_has_played_do_not_count():
    assert ratio([4.0, 100.0], [2.0]) == 2.0
    assert ratio([4.0, 9.0], [0.0, 3.0]) == 3.0


def test_there_is_no_ratio_to_nothing():
    assert ratio([1.0], []) is None
    assert ratio([1.0], [0.0]) is None


def test_what_a_proxy_adds_is_its_median_less_that_of_no_proxy():
    figures = {"no proxy": {"p50, ms": 0.5}, "sidestep": {"p50, ms": 0.75}}
    added_p50(figures)
    assert figures == {"no proxy": {"p50, ms": 0.5}, "sidestep": {"p50, ms": 0.75, "added p50, ms": 0.25}}


def test_nothing_is_added_where_nobody_was_asked_without_a_proxy():
    figures = {"sidestep": {"p50, ms": 0.75}}
    added_p50(figures)
    assert figures == {"sidestep": {"p50, ms": 0.75}}
