"""Schedules strike when they say, and a seed repeats them."""

from lab.schedules import between, brown_out, flapping, for_seconds, mixed, share


class Hands:
    """A clock that is set by hand."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


def struck(schedule, requests):
    return [index for index in range(requests) if schedule(index) is not None]


def test_a_share_of_requests_is_struck_and_the_seed_repeats_which():
    first = struck(share("reset", 0.2, seed=1), 1000)
    assert 150 < len(first) < 250
    assert first == struck(share("reset", 0.2, seed=1), 1000)
    assert first != struck(share("reset", 0.2, seed=2), 1000)


def test_from_the_third_to_the_ninth_counts_from_one():
    assert struck(between("reset", 3, 9), 20) == [2, 3, 4, 5, 6, 7, 8]


def test_for_seconds_ends_by_the_clock():
    clock = Hands()
    schedule = for_seconds("reset", 5, clock=clock)
    clock.time += 4.9
    assert schedule(0) == "reset"
    clock.time += 0.2
    assert schedule(1) is None


def test_flapping_is_well_first_and_then_in_turns():
    clock = Hands()
    schedule = flapping("reset", up=1, down=2, clock=clock)
    seen = []
    for _ in range(6):
        seen.append(schedule(0))
        clock.time += 1
    assert seen == [None, "reset", "reset", None, "reset", "reset"]


def test_a_brown_out_serves_so_many_per_second():
    clock = Hands()
    schedule = brown_out("status:503", per_second=3, clock=clock)
    assert struck(schedule, 5) == [3, 4]
    clock.time += 1
    assert struck(schedule, 5) == [3, 4]


def test_mixed_draws_every_fault_in_time():
    schedule = mixed("reset", "hang", "ok", seed=3)
    assert {schedule(index) for index in range(50)} == {"reset", "hang", "ok"}
