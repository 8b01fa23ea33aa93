import asyncio
import logging

import pytest

from proxy import sensor
from proxy.config.snapshot import Limits
from proxy.resilience.load import Load, Strain


class EndedError(Exception):
    pass


class LateClock:
    """A clock whose sleeps take longer than they were told to, one after the other, and then end the test."""

    def __init__(self, lates):
        self.time, self.lates = 100.0, iter(lates)

    def now(self):
        return self.time

    async def sleep(self, seconds):
        late = next(self.lates, None)
        if late is None:
            raise EndedError
        self.time += seconds + late


async def looked(lates, memory=0.0, limits=None):
    load = Load()
    with pytest.raises(EndedError):
        await sensor.watch(load, lambda: limits or Limits(), LateClock(lates), lambda: memory)
    return load


async def test_a_loop_on_time_has_no_lag():
    load = await looked([0, 0, 0])

    assert (load.strain, load.lag(100.6)) == (None, 0)


async def test_a_loop_that_stays_late_is_under_strain():
    assert (await looked([2, 2, 2])).strain is Strain.LAG


async def test_memory_is_read_and_judged():
    load = await looked([0], memory=0.99)

    assert (load.memory, load.strain) == (0.99, Strain.MEMORY)


async def test_the_limits_in_force_are_asked_at_every_look():
    looks = iter([Limits(memory=0.9), Limits(memory=0)])
    load = Load()
    with pytest.raises(EndedError):
        await sensor.watch(load, lambda: next(looks), LateClock([0, 0]), lambda: 0.95)

    assert load.strain is None


async def test_memory_is_not_read_at_every_look():
    readings = []
    with pytest.raises(EndedError):
        await sensor.watch(Load(), Limits, LateClock([0] * 10), lambda: readings.append(1) or 0.0)

    assert len(readings) == 2


async def test_a_change_is_logged_once_each_way(caplog):
    with caplog.at_level(logging.INFO, "sidestep.load"):
        await looked([2, 2, 2, 2, 0, 0, 0])

    assert [record.message for record in caplog.records] == [
        "new requests are refused",
        "new requests are taken again",
    ]
    assert caplog.records[0].reason == "lag"


async def test_without_a_reader_the_control_groups_are_asked():
    with pytest.raises(EndedError):
        await sensor.watch(load := Load(), Limits, LateClock([0]))

    assert load.memory >= 0


async def test_it_ends_when_it_is_cancelled():
    class Patient(LateClock):
        async def sleep(self, seconds):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(sensor.watch(Load(), Limits, Patient([])))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
