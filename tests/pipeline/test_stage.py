"""How stages are composed, in which order, and what is written down about each."""

import asyncio
import contextlib

import pytest
from staging import Play, good, hangs, says, stream, text

from proxy.config.snapshot import BreakerSettings, DegradeStep, Limits, Rate
from proxy.errors import DeadlineExceeded, NoProviderAvailable, SidestepError
from proxy.pipeline.admission import RETRY_AFTER


def stages(record):
    return [step.name for step in record.steps]


async def test_a_request_passes_the_stages_in_this_order():
    play = Play({"degrade": (DegradeStep(static="sorry"),)}, p1=[good()])
    await play.ask()
    order = ["degrade", "strategy", "rate_limit", "breaker"]

    assert [name for name in stages(play.record) if name in order] == order


async def test_the_stages_of_a_turn_are_passed_anew_for_every_provider():
    play = Play(p1=[says("server_error", 500)], p2=[good()])
    await play.ask()

    assert stages(play.record).count("strategy") == 2
    assert stages(play.record).count("breaker") == 2


async def test_a_policy_without_degradation_has_no_stage_for_it():
    play = Play(p1=[good()])
    await play.ask()

    assert "degrade" not in stages(play.record)


async def test_a_step_tells_the_time_of_deciding_and_not_of_what_comes_after():
    play = Play(p1=[good(delay=3.0)])
    await play.ask()

    assert [step.ended - step.started for step in play.record.steps] == [0.0] * len(play.record.steps)


@pytest.mark.parametrize("script", [good(), says("server_error", 500)])
async def test_every_step_has_ended_when_the_request_has(script):
    play = Play(p1=[script])
    with contextlib.suppress(SidestepError):
        await play.ask()

    assert all(step.ended for step in play.record.steps)


async def test_every_step_has_ended_when_the_client_has_left():
    play = Play(p1=[hangs()])
    asking = asyncio.ensure_future(play.ask())
    await asyncio.sleep(1.0)
    asking.cancel()
    await asyncio.wait({asking})

    assert all(step.ended for step in play.record.steps)


async def test_the_stage_that_refused_says_with_which_code():
    play = Play(providers={"p1": {"enabled": False}}, p1=[])
    with pytest.raises(SidestepError):
        await play.ask()

    assert [(step.name, step.error) for step in play.record.steps if step.error] == [
        ("strategy", "no_provider_available")
    ]


async def test_the_breakers_step_tells_its_state():
    play = Play({"breaker": BreakerSettings(failures=1)}, p1=[says("server_error", 500), good()])
    with pytest.raises(SidestepError):
        await play.ask()
    await play.clock.sleep(30.0)
    await play.ask()
    told = [step.attributes for record in play.records for step in record.steps if step.name == "breaker"]

    assert told == [
        {"sidestep.breaker.state": "closed"},
        {"sidestep.breaker.state": "half_open", "sidestep.breaker.probe": True},
    ]


async def test_a_probe_is_not_wasted_on_a_call_that_we_would_not_make():
    rate = {"chat": Rate(count=1, period=300.0)}
    play = Play({"breaker": BreakerSettings(failures=1)}, {"p1": {"rate_limit": rate}}, p1=[says("server_error", 500)])
    with pytest.raises(SidestepError):
        await play.ask()
    await play.clock.sleep(30.0)
    with pytest.raises(SidestepError):
        await play.ask()

    assert play.at_rest()
    assert play.state("p1").breaker.available(play.clock.now(), BreakerSettings())


# Admission


async def test_as_many_requests_as_the_limit_are_taken():
    play = Play(limits=Limits(in_flight=2), p1=[good()])
    play.engine.registry.in_flight = 2

    assert (await play.ask()).status == 200


async def test_one_more_is_refused_before_anything_else():
    play = Play(limits=Limits(in_flight=2), p1=[])
    play.engine.registry.in_flight = 3
    with pytest.raises(NoProviderAvailable) as caught:
        await play.ask()

    assert caught.value.retry_after == RETRY_AFTER
    assert stages(play.record) == []


# Permits


async def test_two_requests_that_race_for_one_rate_go_to_different_providers():
    rate = {"chat": Rate(count=1, period=60.0)}
    play = Play(providers={"p1": {"rate_limit": rate}}, p1=[good(delay=1.0)], p2=[good(delay=1.0)])
    await asyncio.gather(play.ask(), play.ask())

    assert sorted(play.network.calls) == ["p1", "p2"]


async def test_many_requests_at_once_leave_nothing_behind():
    scripts = [good(delay=1.0), says("server_error", 500), stream("out", 1, "end"), hangs()] * 10
    play = Play({"breaker": BreakerSettings(failures=99, min_requests=999)}, p1=list(scripts), p2=[good()] * 40)

    async def client(number):
        with contextlib.suppress(SidestepError):
            reply = await play.ask(stream=True)
            if reply.stream is not None:
                with contextlib.closing(reply.stream):
                    await (text(reply) if number % 3 else reply.stream.read())

    clients = [asyncio.ensure_future(client(number)) for number in range(40)]
    await asyncio.sleep(0.5)
    for each in clients[::5]:
        each.cancel()
    await asyncio.wait(clients)

    assert play.at_rest()
    assert all(each.cancelled() or each.exception() is None for each in clients)
    assert all(attempt.ended for record in play.records for attempt in record.attempts)


# Deadlines


async def test_each_request_ends_at_its_own_deadline_whichever_began_first():
    play = Play(p1=[hangs(), hangs(), hangs()])
    loop = asyncio.get_running_loop()

    async def ask(seconds):
        begun = loop.time()
        with pytest.raises(DeadlineExceeded):
            await play.ask(timeout=seconds)
        return loop.time() - begun

    assert await asyncio.gather(ask(9.0), ask(2.0), ask(7.0)) == [9.0, 2.0, 7.0]


async def test_a_client_that_leaves_is_no_deadline_and_spoils_nobody_elses():
    play = Play(p1=[hangs(), hangs()])
    loop = asyncio.get_running_loop()
    leaving = asyncio.ensure_future(play.ask(timeout=5.0))
    await asyncio.sleep(1.0)
    leaving.cancel()
    await asyncio.wait({leaving})
    begun = loop.time()
    with pytest.raises(DeadlineExceeded):
        await play.ask(timeout=3.0)

    assert leaving.cancelled()
    assert loop.time() - begun == 3.0
