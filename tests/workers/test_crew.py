"""Who is asked, who is left out, and the pauses before a worker is replaced: by a clock that writes down its sleeps."""

import asyncio
import socket
import subprocess
from types import SimpleNamespace

import pytest

from proxy.errors import ClientError, SidestepError
from proxy.workers.channel import ChannelClosedError
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


class Played:
    """A worker that answers every question alike."""

    def __init__(self, answer, *, hears=True):
        self.answer = answer
        self.hears = hears
        self.pid = 1
        self.killed = False

    async def ask(self, question, patience, **details):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def kill(self):
        self.killed = True


def crew_of(*members):
    crew = Crew(len(members), LineStyle("json", "info"), Slept(1), lambda name, data: None)
    crew.members = dict(enumerate(members))
    return crew


async def test_those_that_are_gone_hang_or_have_not_begun_are_left_out():
    crew = crew_of(Played(1), Played(ChannelClosedError()), Played(TimeoutError()), Played(4, hears=False))
    assert list((await crew.ask("status")).values()) == [1]


async def test_when_nobody_can_answer_it_is_told_so():
    with pytest.raises(SidestepError) as caught:
        await crew_of(Played(ChannelClosedError())).ask("status")
    assert (caught.value.status, caught.value.code) == (503, "no_worker")


async def test_what_one_of_them_refuses_is_refused():
    with pytest.raises(ClientError, match="no such"):
        await crew_of(Played(1), Played(ClientError("no such provider", status=404))).ask("enable")


async def test_one_that_gives_no_sign_of_life_is_ended():
    member = Played(TimeoutError())
    crew = crew_of(member)
    crew.clock = SimpleNamespace(sleep=lambda seconds: asyncio.sleep(0))
    await crew._ping(member)
    assert member.killed
