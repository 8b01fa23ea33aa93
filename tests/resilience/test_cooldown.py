from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.cooldown import CoolDown


def test_a_new_one_does_not_cool_down():
    cool_down = CoolDown()
    assert cool_down.remaining(100.0) == 0.0
    assert cool_down.reason == ""


def test_it_counts_down_to_zero_and_not_beyond():
    cool_down = CoolDown()
    cool_down.extend(100.0, 30.0, "rate_limited")
    assert cool_down.reason == "rate_limited"
    assert [cool_down.remaining(now) for now in (100.0, 110.0, 130.0, 500.0)] == [30.0, 20.0, 0.0, 0.0]


def test_a_shorter_second_one_does_not_shorten_the_first():
    cool_down = CoolDown()
    cool_down.extend(100.0, 60.0, "quota")
    cool_down.extend(110.0, 5.0, "rate_limited")
    assert cool_down.remaining(110.0) == 50.0
    assert cool_down.reason == "quota"


def test_a_longer_second_one_holds():
    cool_down = CoolDown()
    cool_down.extend(100.0, 5.0, "rate_limited")
    cool_down.extend(101.0, 60.0, "quota")
    assert cool_down.remaining(101.0) == 60.0
    assert cool_down.reason == "quota"


def test_one_without_end_lasts_until_it_is_cleared():
    cool_down = CoolDown()
    cool_down.extend(100.0, inf, "auth")
    cool_down.extend(200.0, 60.0, "rate_limited")
    assert cool_down.remaining(1e9) == inf
    assert cool_down.reason == "auth"
    cool_down.clear()
    assert cool_down.remaining(1e9) == 0.0
    assert cool_down.reason == ""


@pytest.mark.parametrize("seconds", [0.0, -5.0, -inf, nan])
def test_no_time_at_all_is_no_cool_down(seconds):
    cool_down = CoolDown()
    cool_down.extend(100.0, seconds, "rate_limited")
    assert cool_down.remaining(100.0) == 0.0
    assert cool_down.reason == ""


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), min_size=1))
def test_of_all_cool_downs_the_latest_end_holds(steps):
    cool_down, now, ends = CoolDown(), 0, []
    for pause, seconds in steps:
        now += pause
        cool_down.extend(now, seconds, "told")
        ends.append(now + seconds)
        assert cool_down.remaining(now) == max(0, max(ends) - now)
