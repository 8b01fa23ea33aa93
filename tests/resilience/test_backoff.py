import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import Backoff
from proxy.resilience.backoff import backoff

DRAWS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("repeat", "seconds"), [(0, 0.25), (1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (99, 5.0)]
)
def test_without_jitter_the_wait_doubles_up_to_its_bound(repeat, seconds):
    assert backoff(Backoff(jitter="none"), repeat, 0.5) == seconds


def test_full_jitter_draws_from_zero_to_the_bound():
    assert backoff(Backoff(), 2, 0.0) == 0.0
    assert backoff(Backoff(), 2, 0.5) == 0.5
    assert backoff(Backoff(), 2, 0.999) == pytest.approx(0.999)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 10**9), DRAWS)
def test_the_wait_is_never_beyond_the_bound_however_many_repeats(base, bound, repeat, draw):
    assert 0 <= backoff(Backoff(base=base, max=bound), repeat, draw) <= bound
