"""Counting many values at once finds what counting each of them would."""

from bisect import bisect_left
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.buckets import counted

NUMBERS = st.floats(-10, 10) | st.sampled_from([-1.0, 0.0, 1.0, 2.5])
BOUNDS = st.lists(NUMBERS, max_size=8, unique=True).map(sorted)


@given(st.lists(NUMBERS), BOUNDS)
def test_each_value_is_counted_where_it_falls(values, bounds):
    one_by_one = Counter(bisect_left(bounds, value) for value in values)
    assert dict(counted(values, bounds)) == one_by_one


def test_a_bound_belongs_to_its_bucket_and_what_is_larger_than_all_to_the_last():
    assert list(counted([3.0, 1.0, 2.0, 1.5], (1.0, 2.0))) == [(0, 1), (1, 2), (2, 1)]


def test_nothing_falls_nowhere():
    assert list(counted([], (1.0,))) == []
