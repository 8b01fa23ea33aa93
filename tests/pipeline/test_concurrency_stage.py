"""Calls at a time, in virtual time: who waits, for how long, and that every place comes back."""

import asyncio

import pytest
from staging import Play, fails, good, hangs, says, stream, text

from proxy.config.snapshot import Concurrency
from proxy.errors import DeadlineExceeded, NoProviderAvailable


def limited(most=1, queue=16, wait=5.0, **fields):
    return {"p1": {"concurrency": Concurrency(max=most, queue=queue, wait=wait), **fields}}


def places(play):
    found = play.state("p1").places
    return found.held, found.waiting


async def begun():
    """Let everybody who can run come to a stop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_wait_is_told_and_is_as_long_as_the_call_before():
    play = Play(providers=limited(), p1=[good(delay=2.0), good()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    await play.ask()
    await first
    (step,) = (step for step in play.record.steps if step.name == "concurrency")

    assert step.attributes["sidestep.queue.waited"] == pytest.approx(2.0)
    assert play.network.times[1] - play.network.times[0] == pytest.approx(2.0)
    assert places(play) == (0, 0)


async def test_nobody_waits_longer_than_the_setting():
    play = Play(providers=limited(wait=3.0), p1=[hangs()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    asked = play.clock.now()
    with pytest.raises(NoProviderAvailable) as refused:
        await play.ask()

    assert play.clock.now() - asked == pytest.approx(3.0)
    assert refused.value.retry_after == 1.0
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert places(play) == (0, 0)


async def test_those_who_wait_are_served_in_the_order_of_their_coming():
    play = Play(providers=limited(), p1=[good(f"answer {number}", delay=0.1) for number in range(5)])
    answers = await asyncio.gather(*(play.ask() for _ in range(5)))

    assert [answer.body for answer in answers] == [f"answer {number}".encode() for number in range(5)]


async def test_a_place_is_kept_through_repeats_on_the_same_provider():
    play = Play(providers=limited(retries=1), p1=[fails("connect", sent=False), good(delay=1.0), good()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    assert places(play) == (1, 0)
    await play.ask()

    assert play.network.times[2] >= play.network.times[1] + 1.0
    await first
    assert places(play) == (0, 0)


async def test_a_stream_gives_its_place_back_when_it_is_closed():
    play = Play(providers=limited(), p1=[stream("out", "end"), good()])
    reply = await play.ask(stream=True)
    assert places(play) == (1, 0)
    assert await text(reply) == b"out\n\nend\n\n"

    assert places(play) == (0, 0)
    reply.stream.close()
    assert places(play) == (0, 0), "once"


@pytest.mark.parametrize("error_class", ["connect", "broken", "auth", "invalid_request"])
async def test_a_failed_call_gives_its_place_back(error_class):
    play = Play(providers=limited(), p1=[fails(error_class)])
    with pytest.raises(Exception):  # noqa: B017, PT011  which error it is depends on the class
        await play.ask()

    assert places(play) == (0, 0)


async def test_a_client_that_leaves_while_it_is_served_gives_its_place_to_the_next():
    play = Play(providers=limited(), p1=[hangs(), good()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    second = asyncio.ensure_future(play.ask())
    await begun()
    first.cancel()

    assert (await second).body == b"fine"
    assert places(play) == (0, 0)


async def test_a_client_that_leaves_in_the_moment_of_its_turn_passes_it_on():
    play = Play(providers=limited(), p1=[good()])
    line, settings = play.state("p1").places, limited()["p1"]["concurrency"]
    assert line.take(settings)
    first, second = asyncio.ensure_future(play.ask()), asyncio.ensure_future(play.ask())
    await begun()
    assert places(play) == (1, 2)
    line.give_back(settings)
    first.cancel()

    assert (await second).body == b"fine"
    assert first.cancelled()
    assert places(play) == (0, 0)


async def test_a_deadline_ends_the_wait():
    play = Play(providers=limited(wait=50.0), p1=[hangs()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    with pytest.raises(DeadlineExceeded):
        await play.ask(timeout=2.0)

    assert places(play) == (1, 0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_what_the_provider_said_meanwhile_counts_after_the_wait():
    refusal = says("rate_limited", 429, retry_after=60)
    refusal.delay = 1.0
    play = Play(providers=limited(), p1=[refusal])
    results = await asyncio.gather(play.ask(), play.ask(), return_exceptions=True)

    assert [getattr(each, "status", None) for each in results] == [429, 429]
    assert len(play.network.calls) == 1, "who waited asks nobody that wants to be left alone"
    assert places(play) == (0, 0)


async def test_without_a_limit_there_is_no_such_stage():
    play = Play(p1=[good()])
    await play.ask()

    assert "concurrency" not in [step.name for step in play.record.steps]


async def test_a_provider_without_a_limit_is_not_held_up_by_another_ones():
    play = Play(providers=limited(), p1=[hangs()], p2=[good(), good(), good()])
    first = asyncio.ensure_future(play.ask())
    await begun()
    await asyncio.gather(*(play.ask() for _ in range(3)))

    assert play.network.calls == ["p1", "p2", "p2", "p2"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
