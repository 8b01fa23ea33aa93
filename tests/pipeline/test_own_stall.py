"""Whose fault a timeout is when this process itself stood still."""

import contextlib

import pytest
from staging import Play, fails, good, hangs, stream, text

from proxy.errors import SidestepError


async def counted(play, stalled, after):
    """Ask, the sensor's next look being `stalled` seconds overdue by the time that is `after` seconds from now.

    Returns how many failures the breaker counted, and how many outcomes the statistics did.
    """
    play.engine.registry.load.expect(play.clock.now() + after - stalled)
    with contextlib.suppress(SidestepError):
        await play.ask()
    state = play.state("p1")
    return state.breaker.failure_count, state.window.performance(play.clock.now()).requests


@pytest.mark.parametrize(("stalled", "blamed"), [(6.0, 0), (4.0, 1), (0.0, 1)])
async def test_a_provider_that_is_late_is_blamed_unless_we_slept_through_most_of_its_time(stalled, blamed):
    play = Play(p1=[hangs()], p2=[good()])

    assert await counted(play, stalled, after=10.0) == (blamed, blamed)


@pytest.mark.parametrize(("took", "blamed"), [(1.0, 0), (0.01, 1)])
async def test_a_connection_that_takes_too_long_may_be_our_fault_but_a_refused_one_is_not(took, blamed):
    play = Play(p1=[fails("connect", delay=took)], p2=[good()])

    assert await counted(play, stalled=0.9, after=took) == (blamed, blamed)


async def test_a_broken_answer_is_never_our_fault():
    play = Play(p1=[fails("broken", delay=5.0)], p2=[good()])

    assert await counted(play, stalled=5.0, after=5.0) == (1, 1)


@pytest.mark.parametrize(("stalled", "blamed"), [(12.0, 0), (8.0, 1)])
async def test_the_silence_of_a_stream_is_measured_against_its_own_clock(stalled, blamed):
    play = Play(p1=[stream(5.0, "out", 9.0, "out", 9.0, "out", 50.0, "out", "end")])
    reply = await play.ask(stream=True)
    reading = text(reply)
    play.engine.registry.load.expect(play.clock.now() + 9.0 + 9.0 + 20.0 - stalled)
    await reading
    state = play.state("p1")

    assert play.record.broken.error_class == "timeout"
    assert state.breaker.failure_count == blamed


async def test_our_own_stall_is_noted_on_the_attempt_and_frees_its_permit():
    play = Play(p1=[hangs()], p2=[good()])
    await counted(play, stalled=6.0, after=10.0)
    (event,) = (event for event in play.record.attempts[0].events if event.name == "own_stall")

    assert event.attributes == {"sidestep.lag_seconds": 6.0}
    assert play.record.attempts[0].failure.error_class == "timeout"
    assert play.at_rest()
