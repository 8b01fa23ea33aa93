"""The fault laboratory's quick half: the real program, broken in one way after the other. All of it: `make faults`."""

import pytest
from lab.laboratory import started
from lab.playing import Options, play
from lab.scenarios.table import SCENARIOS

NEEDS = {"": [], "faketime": [pytest.mark.needs_faketime], "cc": [pytest.mark.needs_compiler]}
FAST = [pytest.param(each, id=each.name, marks=NEEDS[each.needs]) for each in SCENARIOS if each.fast]
BUSY = Options(requests=12, timed=False)


@pytest.fixture(scope="module")
def gateway():
    with started() as program:
        yield program


@pytest.mark.parametrize("scenario", FAST)
async def test_a_fault_breaks_no_promise(scenario, gateway):
    result = await play(scenario, gateway, BUSY)
    print(result.seen)
    assert not result.broken, "\n".join([f"expected: {scenario.expected}", *result.broken])
