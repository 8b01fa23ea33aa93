from hypothesis import given
from hypothesis import strategies as st

from proxy.workers.ledger import Ledger


def test_the_living_count_once_by_their_newest_answer():
    ledger = Ledger(sum)
    ledger.take({1: 5, 2: 3}, {1, 2})
    assert sorted(ledger.take({1: 6, 2: 4}, {1, 2})) == [4, 6]


def test_who_does_not_answer_but_lives_counts_by_the_last_answer():
    ledger = Ledger(sum)
    ledger.take({1: 5, 2: 3}, {1, 2})
    assert sum(ledger.take({1: 6}, {1, 2})) == 9


def test_what_somebody_told_before_the_end_stays():
    ledger = Ledger(sum)
    ledger.take({1: 5, 2: 3}, {1, 2})
    assert sum(ledger.take({1: 6, 3: 1}, {1, 3})) == 10
    assert sum(ledger.take({1: 6, 3: 1}, {1, 3})) == 10


def test_what_was_forgotten_counts_no_more():
    ledger = Ledger(sum)
    ledger.take({1: 5, 2: 3}, {1})
    ledger.forget()
    assert ledger.take({1: 2}, {1}) == [2]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_the_sum_of_counters_never_falls(steps):
    ledger, counts, before = Ledger(sum), dict.fromkeys(range(6), 0), 0
    for pid, ends in steps:
        if ends and len(counts) > 1:
            counts.pop(pid, None)
        else:
            counts[pid] = counts.get(pid, 0) + 1
        if counts:
            now = sum(ledger.take(counts, set(counts)))
            assert now >= before
            before = now
