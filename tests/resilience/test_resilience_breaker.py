"""The breaker by example, then as a machine that is driven at random and compared with what it promised."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.config.snapshot import BreakerSettings
from proxy.resilience.breaker import Breaker, Permit, State

CONSECUTIVE = BreakerSettings(failures=3, min_requests=1_000_000, open_for=30.0, max_open_for=300.0, half_open=1)
RATIO = BreakerSettings(failures=1_000_000, ratio=0.5, min_requests=10, window=60.0)


def fail(breaker, now, rules=CONSECUTIVE, *, draw=0.0, times=1):
    return [breaker.failure(breaker.acquire(now, rules), now, rules, draw) for _ in range(times)]


def succeed(breaker, now, rules=CONSECUTIVE):
    return breaker.success(breaker.acquire(now, rules), now, rules)


@pytest.fixture
def opened():
    """A breaker that opened at 100 and half-opens at 130."""
    breaker = Breaker()
    assert fail(breaker, 100.0, times=3) == [False, False, True]
    return breaker


def test_a_new_breaker_is_closed_and_lets_everything_through():
    breaker = Breaker()
    assert breaker.state(0.0) is State.CLOSED
    assert breaker.available(0.0, CONSECUTIVE)
    assert breaker.acquire(0.0, CONSECUTIVE) == Permit(epoch=0, probe=False)
    assert (breaker.failure_count, breaker.opens_until, breaker.recovered_at) == (0, None, None)


def test_it_opens_at_the_last_of_the_failures_in_a_row(opened):
    assert opened.state(100.0) is State.OPEN
    assert opened.failure_count == 3
    assert opened.opens_until == 130.0


def test_a_success_begins_the_row_anew():
    breaker = Breaker()
    fail(breaker, 100.0, times=2)
    assert succeed(breaker, 100.0) is False
    assert breaker.failure_count == 0
    assert fail(breaker, 100.0, times=3) == [False, False, True]


def test_an_open_breaker_gives_no_permit_before_its_time(opened):
    assert not opened.available(129.9, CONSECUTIVE)
    assert opened.acquire(129.9, CONSECUTIVE) is None


def test_it_reads_half_open_once_its_time_has_passed(opened):
    assert opened.state(130.0) is State.HALF_OPEN


def test_half_open_gives_as_many_permits_as_may_probe_at_once(opened):
    two = replace(CONSECUTIVE, half_open=2)
    assert [opened.acquire(130.0, two) is not None for _ in range(3)] == [True, True, False]


def test_a_probe_that_succeeds_closes_it(opened):
    assert succeed(opened, 131.0) is True
    assert opened.state(131.0) is State.CLOSED
    assert (opened.failure_count, opened.opens_until, opened.recovered_at) == (0, None, 131.0)


def test_as_many_probes_as_may_run_at_once_must_succeed_to_close_it(opened):
    two = replace(CONSECUTIVE, half_open=2)
    assert succeed(opened, 131.0, two) is False
    assert opened.state(131.0) is State.HALF_OPEN
    assert succeed(opened, 132.0, two) is True


def test_a_failed_probe_takes_back_what_earlier_probes_had_earned(opened):
    two = replace(CONSECUTIVE, half_open=2)
    succeed(opened, 131.0, two)
    fail(opened, 132.0, two)
    assert succeed(opened, opened.opens_until, two) is False


def test_a_probe_that_fails_doubles_the_open_time(opened):
    assert fail(opened, 130.0) == [True]
    assert opened.opens_until == 190.0
    assert fail(opened, 190.0) == [True]
    assert opened.opens_until == 310.0


def test_it_tells_since_when_it_has_not_been_closed_however_many_probes_failed(opened):
    fail(opened, 130.0)
    assert opened.open_since == 100.0
    succeed(opened, 190.0)
    assert opened.open_since is None


def test_the_open_time_grows_no_further_than_its_bound(opened):
    for _ in range(100):
        now = opened.opens_until
        fail(opened, now)
    assert opened.opens_until - now == 300.0


def test_jitter_only_ever_lengthens_the_open_time():
    breaker = Breaker()
    fail(breaker, 100.0, draw=0.5, times=3)
    assert breaker.opens_until == pytest.approx(133.0)


def test_a_relapse_soon_after_a_recovery_goes_on_doubling(opened):
    succeed(opened, 130.0)
    fail(opened, 140.0, times=3)
    assert opened.opens_until == 200.0


def test_after_a_lasting_recovery_the_open_time_starts_over(opened):
    succeed(opened, 130.0)
    fail(opened, 160.0, times=3)
    assert opened.opens_until == 190.0


def test_a_probe_that_is_released_frees_its_slot_and_counts_as_nothing(opened):
    probe = opened.acquire(130.0, CONSECUTIVE)
    assert not opened.available(130.0, CONSECUTIVE)
    opened.release(probe)
    assert opened.available(130.0, CONSECUTIVE)
    assert opened.state(130.0) is State.HALF_OPEN
    assert opened.failure_count == 3


def test_releasing_a_permit_of_a_closed_breaker_changes_nothing():
    breaker = Breaker()
    breaker.release(breaker.acquire(100.0, CONSECUTIVE))
    assert breaker.state(100.0) is State.CLOSED
    assert fail(breaker, 100.0, times=3) == [False, False, True]


def test_outcomes_of_requests_from_before_it_opened_are_ignored():
    breaker = Breaker()
    old = [breaker.acquire(100.0, CONSECUTIVE) for _ in range(3)]
    fail(breaker, 100.0, times=3)
    probe = breaker.acquire(130.0, CONSECUTIVE)
    breaker.release(old[0])
    assert breaker.success(old[1], 130.0, CONSECUTIVE) is False
    assert breaker.failure(old[2], 130.0, CONSECUTIVE, 0.0) is False
    assert breaker.state(130.0) is State.HALF_OPEN
    assert not breaker.available(130.0, CONSECUTIVE)
    assert breaker.success(probe, 130.0, CONSECUTIVE) is True


def test_a_second_probe_ending_after_the_first_one_reopened_it_is_ignored(opened):
    two = replace(CONSECUTIVE, half_open=2)
    first, second = opened.acquire(130.0, two), opened.acquire(130.0, two)
    assert opened.failure(first, 130.0, two, 0.0) is True
    assert opened.failure(second, 131.0, two, 0.0) is False
    assert opened.opens_until == 190.0


def test_a_last_chance_is_given_while_it_is_open_and_can_close_it(opened):
    permit = opened.force_acquire(105.0)
    assert permit.probe
    assert opened.success(permit, 106.0, CONSECUTIVE) is True
    assert opened.state(106.0) is State.CLOSED


def test_a_last_chance_that_fails_ahead_of_time_does_not_prolong_the_wait(opened):
    permit = opened.force_acquire(105.0)
    assert opened.failure(permit, 106.0, CONSECUTIVE, 0.0) is False
    assert opened.opens_until == 130.0
    assert opened.failure_count == 4
    assert opened.available(130.0, CONSECUTIVE)


def test_a_last_chance_takes_up_the_probes_slot(opened):
    opened.force_acquire(105.0)
    assert opened.acquire(130.0, CONSECUTIVE) is None


def test_a_last_chance_on_a_closed_breaker_is_an_ordinary_permit():
    assert Breaker().force_acquire(0.0) == Permit(epoch=0, probe=False)


def test_it_opens_when_too_large_a_part_of_enough_requests_failed():
    breaker = Breaker()
    for _ in range(5):
        succeed(breaker, 100.0, RATIO)
    assert fail(breaker, 100.0, RATIO, times=5) == [False, False, False, False, True]


def test_a_small_part_of_failures_does_not_open_it():
    breaker = Breaker()
    for _ in range(100):
        assert [succeed(breaker, 100.0, RATIO), succeed(breaker, 100.0, RATIO)] == [False, False]
        assert fail(breaker, 100.0, RATIO) == [False]


def test_failures_older_than_the_window_do_not_count_towards_the_ratio():
    breaker = Breaker()
    fail(breaker, 100.0, RATIO, times=9)
    assert fail(breaker, 170.0, RATIO) == [False]


def test_failures_from_before_a_recovery_do_not_count_towards_the_ratio():
    breaker = Breaker()
    fail(breaker, 100.0, RATIO, times=10)
    now = breaker.opens_until
    assert succeed(breaker, now, RATIO) is True
    assert fail(breaker, now, RATIO, times=9) == [False] * 9


class BreakerMachine(RuleBasedStateMachine):
    """Any order of permits, outcomes and pauses; what must hold is checked after each."""

    def __init__(self):
        super().__init__()
        self.rules = replace(CONSECUTIVE, half_open=2)
        self.breaker = Breaker()
        self.now = 1000.0
        self.permits = []
        self.in_a_row = 0

    def pick(self, data):
        return self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))

    def live_probes(self):
        return sum(permit.probe and permit.epoch == self.breaker._epoch for permit in self.permits)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def acquire(self):
        state, probing = self.breaker.state(self.now), self.live_probes()
        expected = state is State.CLOSED or (state is State.HALF_OPEN and probing < self.rules.half_open)
        assert self.breaker.available(self.now, self.rules) is expected
        permit = self.breaker.acquire(self.now, self.rules)
        assert (permit is not None) is expected
        if permit:
            assert permit.probe is (state is State.HALF_OPEN)
            self.permits.append(permit)

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def succeed(self, data):
        self.settle(self.pick(data), lambda permit: self.breaker.success(permit, self.now, self.rules), ok=True)

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), draw=st.floats(0, 1, exclude_max=True))
    def fail(self, data, draw):
        self.settle(self.pick(data), lambda permit: self.breaker.failure(permit, self.now, self.rules, draw), ok=False)

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def release(self, data):
        before = self.breaker.state(self.now)
        self.breaker.release(self.pick(data))
        assert self.breaker.state(self.now) is before

    def settle(self, permit, outcome, *, ok):
        before = (self.breaker.state(self.now), self.breaker.opens_until)
        stale = permit.epoch != self.breaker._epoch
        changed = outcome(permit)
        after = (self.breaker.state(self.now), self.breaker.opens_until)
        assert changed is (before != after)
        if stale:
            assert not changed
        elif before[0] is State.CLOSED:
            self.in_a_row = 0 if ok else self.in_a_row + 1
            assert changed is (self.in_a_row == self.rules.failures)
        elif changed:
            assert after[0] is (State.CLOSED if ok else State.OPEN)
        if changed:
            self.in_a_row = 0

    @invariant()
    def no_more_probes_than_allowed_are_in_flight(self):
        assert self.breaker._probes == self.live_probes() <= self.rules.half_open

    @invariant()
    def the_wait_is_bounded(self):
        until = self.breaker.opens_until
        assert (until is None) is (self.breaker.state(self.now) is State.CLOSED)
        assert until is None or until - self.now <= self.rules.max_open_for * 1.2


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=60, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
