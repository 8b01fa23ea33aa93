import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.snapshot import Limits
from proxy.resilience.load import Load, Strain

LIMITS = Limits(in_flight=10, lag=1.0, memory=0.9)
PERIOD = 0.2


class Looks:
    """A sensor that looks on time, or as late as it is told."""

    def __init__(self, limits=LIMITS):
        self.load, self.limits, self.now = Load(), limits, 100.0

    def look(self, late=0.0, memory=0.0):
        self.load.expect(self.now + PERIOD)
        self.now += PERIOD + late
        self.load.observe(self.now, memory, self.limits)
        return self.load.strain


def test_a_process_at_ease_refuses_nobody():
    looks = Looks()
    looks.look()

    assert looks.load.refuse(10, LIMITS) is None


def test_one_request_more_than_the_limit_is_refused():
    load = Load()

    assert load.refuse(11, LIMITS) is Strain.IN_FLIGHT
    assert load.refuse(10, LIMITS) is None


def test_refusals_are_counted_by_their_reason():
    looks = Looks()
    looks.load.refuse(11, LIMITS)
    looks.look(memory=0.95)
    looks.load.refuse(1, LIMITS)
    looks.load.refuse(1, LIMITS)

    assert looks.load.refused == {Strain.IN_FLIGHT: 1, Strain.LAG: 0, Strain.MEMORY: 2}


def test_one_long_stall_is_no_overload():
    looks = Looks()

    assert [looks.look(late) for late in (0, 0, 30.0, 0, 0)] == [None] * 5


def test_a_loop_that_keeps_running_behind_is_an_overload():
    looks = Looks()

    assert [looks.look(late) for late in (1.1, 1.1, 1.1)] == [None, None, Strain.LAG]


def test_an_overload_ends_only_when_the_lag_is_well_below_its_limit():
    looks = Looks()
    for _ in range(3):
        looks.look(1.5)

    assert looks.look(0.8) is Strain.LAG
    assert looks.look(0.4) is None
    assert looks.look(0.8) is None


def test_memory_beyond_its_limit_is_an_overload_until_it_is_well_below():
    looks = Looks()

    assert [looks.look(memory=share) for share in (0.89, 0.91, 0.88, 0.86, 0.89)] == [
        None,
        Strain.MEMORY,
        Strain.MEMORY,
        None,
        None,
    ]


@pytest.mark.parametrize("limits", [Limits(lag=0.0), Limits(memory=0.0)])
def test_a_limit_of_zero_looks_away(limits):
    looks = Looks(limits)
    late, memory = (0.0, 1.0) if limits.memory == 0 else (9.0, 0.0)

    assert [looks.look(late, memory) for _ in range(5)] == [None] * 5


def test_the_worst_lateness_of_the_last_second_is_told():
    looks = Looks()
    looks.look(0.7)
    looks.look(0.1)

    assert looks.load.lag(looks.now) == pytest.approx(0.7)
    looks.load.expect(looks.now + 60)
    assert looks.load.lag(looks.now + 0.9) == pytest.approx(0.1)
    assert looks.load.lag(looks.now + 1.1) == 0


def test_a_look_that_is_overdue_counts_before_it_happens():
    load = Load()
    load.expect(10.0)

    assert load.lag(10.5) == pytest.approx(0.5)
    assert load.lag(9.5) == 0


def test_without_a_sensor_nothing_is_known_and_nothing_blamed():
    load = Load()

    assert load.lag(1e9) == 0
    assert not load.at_fault(1e9, 0.5)


def test_a_wait_that_a_stall_filled_by_more_than_half_is_our_own_fault():
    load = Load()
    load.expect(10.0)

    assert load.at_fault(10.6, waited=1.0)
    assert not load.at_fault(10.4, waited=1.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), max_size=40))
@settings(max_examples=60)
def test_whatever_is_found_a_quiet_second_ends_every_refusal(findings):
    looks = Looks()
    for late, memory in findings:
        looks.look(late, memory)
    for _ in range(5):
        looks.look()

    assert looks.load.strain is None
