import pytest
from lab.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_a_stranger_writes_crashes_a_reader(name):
    _, bad = fuzz(name, cases=1000, seed=1)
    assert [line for line in bad if " took " not in line] == []
