"""Writes in one burst: nothing lost, nothing out of order, and none later than it has to be."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab.client import RawClient, request
from lab.configuration import routes
from lab.sidecar import chat, running
from lab.upstream import Upstream

from proxy.outbox import CROWD, LARGE, Outbox


class Loop:
    """Keeps what is called soon until the turn is over."""

    def __init__(self):
        self.soon = []

    def call_soon(self, callback):
        self.soon.append(callback)

    def turn(self):
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Wire:
    """Notes what is written, and takes nothing once it is closed."""

    def __init__(self, log):
        self.log = log
        self.closed = False

    def is_closing(self):
        return self.closed

    def write(self, data):
        assert not self.closed
        self.log.append((self, data))


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def outbox(loop):
    return Outbox(loop)


def test_a_lone_exchange_does_not_wait(outbox, loop):
    log = []
    outbox.under_way = CROWD - 1
    outbox.write(Wire(log), b"now")

    assert [data for _, data in log] == [b"now"]
    assert not loop.soon


def test_those_of_a_crowd_go_out_together_in_the_next_turn(outbox, loop):
    log = []
    outbox.under_way = CROWD
    for data in (b"a", b"b", b"c"):
        outbox.write(Wire(log), data)

    assert (log, len(loop.soon)) == ([], 1)
    loop.turn()
    assert [data for _, data in log] == [b"a", b"b", b"c"]


def test_what_is_large_goes_out_at_once_and_not_before_its_turn(outbox):
    log = []
    outbox.under_way = CROWD
    wire = Wire(log)
    outbox.write(wire, b"first")
    outbox.write(wire, b"x" * LARGE)

    assert [len(data) for _, data in log] == [5, LARGE]


def test_a_connection_that_has_closed_is_told_nothing_and_takes_nobody_along(outbox, loop):
    log = []
    outbox.under_way = CROWD
    gone, there = Wire(log), Wire(log)
    outbox.write(gone, b"lost")
    outbox.write(there, b"kept")
    gone.closed = True
    loop.turn()

    assert log == [(there, b"kept")]


writes = st.tuples(st.just("write"), st.integers(0, 2), st.sampled_from([1, 100, LARGE]), st.integers(0, 2 * CROWD))
steps = st.lists(st.one_of(writes, st.just(("turn",)), st.just(("flush",))), max_size=40)


@given(steps)
def test_every_connection_gets_all_of_its_bytes_in_order(steps):
    loop, log = Loop(), []
    outbox = Outbox(loop)
    wires = [Wire(log) for _ in range(3)]
    sent = []
    for number, step in enumerate(steps):
        if step[0] == "write":
            _, which, size, outbox.under_way = step
            data = b"%d:" % number + b"x" * size
            sent.append((wires[which], data))
            outbox.write(wires[which], data)
        elif step[0] == "turn":
            loop.turn()
        else:
            outbox.flush()
    loop.turn()

    for wire in wires:
        assert [data for each, data in log if each is wire] == [data for each, data in sent if each is wire]


async def test_answers_behind_which_the_connection_ends_come_whole_in_a_crowd():
    async def one(number):
        async with RawClient(sidecar.port) as client:
            data = request(document=chat("question", stream=bool(number % 2)), headers={"Connection": "close"})
            response = await client.ask(data)
            return response.status, response.complete, await client.closed(within=5)

    async with Upstream("p1") as upstream, running(routes({"p1": upstream})) as sidecar:
        answers = await asyncio.gather(*(one(number) for number in range(8 * CROWD)))

    assert answers == [(200, True, True)] * (8 * CROWD)


async def test_what_came_before_a_break_is_told_before_the_reset_in_a_crowd():
    async def one():
        async with RawClient(sidecar.port) as client:
            response = await client.ask(request(document=chat("question", stream=True)))
            return response.complete, any('"error"' in event for event in response.events())

    policy = {"streaming": {"on_break": "abort"}}
    async with Upstream("p1") as upstream, running(routes({"p1": upstream}), **policy) as sidecar:
        upstream.fault = "cut:2"
        answers = await asyncio.gather(*(one() for _ in range(2 * CROWD)))

    broken = [answer for answer in answers if answer[1]]
    assert len(broken) >= CROWD  # of the others nobody asked the provider: its breaker had opened
    assert {complete for complete, _ in broken} == {False}
