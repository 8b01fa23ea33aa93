import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.ramp import share


def test_a_provider_that_never_was_away_has_its_full_share():
    assert share(100.0, None, 60.0) == 1.0


def test_a_ramp_of_zero_gives_everything_back_at_once():
    assert share(100.0, 100.0, 0.0) == 1.0


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 0.1), (30, 0.55), (60, 1.0), (600, 1.0)])
def test_the_share_grows_in_a_straight_line_from_a_tenth_to_all(elapsed, expected):
    assert share(1000.0 + elapsed, 1000.0, 60.0) == pytest.approx(expected)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_the_share_is_positive_at_most_one_and_never_falls(recovered_at, now, ramp, later):
    first, second = share(now, recovered_at, ramp), share(now + later, recovered_at, ramp)
    assert 0 < first <= second <= 1
