"""The pauses before a worker is replaced, by a clock that writes down its sleeps, with processes that end at once."""

import asyncio
import socket
import subprocess

from proxy.workers.crew import PAUSE, STEADY, Crew, LineStyle
from proxy.workers.hiring import Hired
from proxy.workers.member import join


class Slept:
    """A clock on which only sleeping takes time. `enough` is set after so many sleeps."""

    def __init__(self, count):
        self.time = 0.0
        self.pauses = []
        self.count = count
        self.enough = asyncio.Event()

    def now(self):
        return self.time

    async def sleep(self, seconds):
        if seconds == 5.0:  # the ping of one that lives
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        self.time += seconds
        if len(self.pauses) == self.count:
            self.enough.set()
            await asyncio.Event().wait()


def passing():
    """A worker that ends before it can be spoken to."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with theirs:
        return Hired(subprocess.Popen(["true"]), ours)


async def kept(clock):
    """Keep one place until the clock has seen enough."""
    crew = Crew(1, LineStyle("json", "info"), clock, lambda name, data: None, passing)
    crew.members[0] = await join(0, passing(), crew.hear)
    keeping = asyncio.create_task(crew._keep(0))
    await clock.enough.wait()
    keeping.cancel()
    await asyncio.wait({keeping})
    return crew


async def test_one_that_keeps_ending_is_replaced_after_ever_longer_pauses():
    clock = Slept(12)
    crew = await kept(clock)
    assert clock.pauses == [min(PAUSE.max, PAUSE.base * 2**number) for number in range(1, 13)]
    assert crew.restarts == 12
    assert not crew.ready


async def test_after_a_steady_time_the_pause_is_short_again():
    clock = Slept(1)
    now = iter([0.0, STEADY + 1.0])
    clock.now = lambda: next(now)
    await kept(clock)
    assert clock.pauses == [PAUSE.base]
