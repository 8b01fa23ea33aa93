from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.snapshot import Concurrency
from proxy.resilience.concurrency import Places

TWO = Concurrency(max=2, queue=2)


def full(limit=TWO):
    places = Places()
    for _ in range(limit.max):
        assert places.take(limit)
    return places


def test_places_are_taken_up_to_the_limit():
    places = full()

    assert not places.free(TWO)
    assert not places.take(TWO)
    assert places.held == 2


def test_a_place_given_back_can_be_taken_again():
    places = full()
    places.give_back(TWO)

    assert places.take(TWO)


def test_a_place_given_back_goes_to_whoever_waits_longest():
    places, woken = full(), []
    places.join(lambda: woken.append("first"), TWO)
    places.join(lambda: woken.append("second"), TWO)

    places.give_back(TWO)
    assert woken == ["first"]
    places.give_back(TWO)
    assert woken == ["first", "second"]
    assert (places.held, places.waiting) == (2, 0)


def test_a_newcomer_does_not_overtake_the_queue():
    places = full()
    places.join(lambda: None, TWO)
    raised = Concurrency(max=3, queue=2)

    assert not places.take(raised)


def test_no_more_wait_than_the_queue_has_room_for():
    places = full()

    assert places.join(lambda: None, TWO)
    assert places.join(lambda: None, TWO)
    assert not places.room(TWO)
    assert places.join(lambda: None, TWO) is None


def test_who_leaves_the_queue_frees_its_place_in_it():
    places, woken = full(), []
    first = places.join(lambda: woken.append("first"), TWO)
    places.join(lambda: woken.append("second"), TWO)

    places.leave(first, TWO)
    assert places.room(TWO)
    places.give_back(TWO)
    assert woken == ["second"]


def test_who_leaves_in_the_moment_of_being_called_passes_the_place_on():
    places, woken = full(), []
    first = places.join(lambda: woken.append("first"), TWO)
    places.join(lambda: woken.append("second"), TWO)
    places.give_back(TWO)

    places.leave(first, TWO)
    assert woken == ["first", "second"]
    assert places.held == 2


def test_a_raised_limit_calls_several_at_once():
    places, woken = full(), []
    for name in ("first", "second"):
        places.join(lambda name=name: woken.append(name), TWO)

    places.give_back(Concurrency(max=3, queue=2))
    assert woken == ["first", "second"]
    assert places.held == 3


def test_a_lowered_limit_lets_nobody_in_until_it_is_kept():
    places, woken = full(), []
    places.join(lambda: woken.append("first"), TWO)
    lowered = Concurrency(max=1, queue=2)

    places.give_back(lowered)
    assert not woken
    places.give_back(lowered)
    assert woken == ["first"]


@given(st.lists(st.sampled_from(["come", "end", "leave"]), max_size=60), st.integers(1, 4), st.integers(0, 4))
@settings(max_examples=60)
def test_whatever_happens_the_limits_hold_and_the_order_is_that_of_arrival(happenings, most, queue):
    limit = Concurrency(max=most, queue=queue)
    places, held, line = Places(), 0, deque()
    served, expected = [], []
    for number, what in enumerate(happenings):
        if what == "come":
            if places.take(limit):
                held += 1
            elif waiter := places.join(lambda number=number: served.append(number), limit):
                line.append((number, waiter))
        elif what == "leave" and line:
            places.leave(line.pop()[1], limit)
        elif what == "end" and held:
            held -= 1
            if line:
                expected.append(line.popleft()[0])
                held += 1
            places.give_back(limit)
        assert places.held == held <= most
        assert places.waiting == len(line) <= queue
        assert served == expected
