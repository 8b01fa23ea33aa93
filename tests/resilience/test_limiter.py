import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import Rate
from proxy.resilience.limiter import Limiter

RATE = Rate(count=3, period=60.0)


def granted(limiter, now, rate, tries):
    return sum(limiter.take(now, rate) for _ in range(tries))


def test_a_burst_of_the_whole_count_is_allowed_and_not_one_more():
    assert granted(Limiter(), 100.0, RATE, 10) == 3


def test_a_new_limiter_is_ready_at_once():
    assert Limiter().ready_in(100.0, RATE) == 0.0


def test_it_is_ready_again_when_the_oldest_grant_is_a_period_old():
    limiter = Limiter()
    for now in (100.0, 110.0, 120.0):
        limiter.take(now, RATE)
    assert limiter.ready_in(130.0, RATE) == 30.0
    assert not limiter.take(159.0, RATE)
    assert limiter.take(160.0, RATE)
    assert limiter.ready_in(160.0, RATE) == 10.0


def test_a_refusal_costs_nothing():
    limiter = Limiter()
    granted(limiter, 100.0, RATE, 50)
    assert granted(limiter, 160.0, RATE, 50) == 3


def test_a_smaller_count_after_a_reload_waits_for_as_many_grants_as_are_too_many():
    limiter = Limiter()
    for now in (100.0, 110.0, 120.0):
        limiter.take(now, RATE)
    smaller = Rate(count=1, period=60.0)
    assert limiter.ready_in(130.0, smaller) == 50.0
    assert not limiter.take(175.0, smaller)
    assert limiter.take(180.0, smaller)


def test_a_shorter_period_after_a_reload_holds_at_once():
    limiter = Limiter()
    granted(limiter, 100.0, RATE, 3)
    assert limiter.take(111.0, Rate(count=3, period=10.0))


def test_a_rate_of_nothing_never_grants_and_says_a_period():
    limiter = Limiter()
    nothing = Rate(count=0, period=60.0)
    assert not limiter.take(100.0, nothing)
    assert limiter.ready_in(100.0, nothing) == 60.0


def test_a_high_rate_is_remembered_in_bounded_memory_and_still_kept():
    limiter, rate = Limiter(), Rate(count=5_000, period=60.0)
    grants = [now for step in range(12_000) if limiter.take(now := step * 0.01, rate)]
    assert len(limiter._log) <= 1026
    assert grants[:5000] == [step * 0.01 for step in range(5000)]
    assert all(later - earlier >= 60.0 - 1e-6 for earlier, later in zip(grants, grants[5000:], strict=False))
    assert len(grants) > 9_900


def test_grants_that_are_remembered_together_expire_with_the_last_of_them():
    limiter, rate = Limiter(), Rate(count=2_000, period=60.0)
    limiter.take(100.0, rate)
    granted(limiter, 100.05, rate, 1_999)
    assert not limiter.take(160.0, rate)
    assert limiter.take(160.06, rate)


@pytest.mark.parametrize("count", [1, 2, 5])
@given(pauses=st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_no_period_ever_holds_more_than_the_count_and_no_grant_is_withheld(count, pauses):
    limiter, rate, now = Limiter(), Rate(count=count, period=60.0), 0
    grants: list[int] = []
    for pause in pauses:
        now += pause
        recent = sum(now - time < 60 for time in grants)
        wait = limiter.ready_in(now, rate)
        allowed = limiter.take(now, rate)
        assert allowed == (recent < count) == (wait == 0)
        if allowed:
            grants.append(now)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_a_take_succeeds_after_the_wait_it_was_told(pauses):
    limiter, now = Limiter(), 0.0
    for pause in pauses:
        now += pause + limiter.ready_in(now + pause, RATE) + 1e-6
        assert limiter.take(now, RATE)
