"""Whose turn it is, who is left out and why, and the last chance when everybody is open."""

import asyncio

import pytest
from staging import Play, fails, good, hangs, says

from proxy.config.snapshot import BreakerSettings, Rate, Recovery, StrategyName, Timeouts
from proxy.errors import NoProviderAvailable, SidestepError

OPEN_AFTER_ONE = {"breaker": BreakerSettings(failures=1)}


async def refused(play, **fields):
    with pytest.raises(SidestepError) as caught:
        await play.ask(**fields)
    return caught.value


def excluded(record):
    """Who was left out at the last choice, as the span tells it."""
    steps = [step for step in record.steps if step.name == "strategy"]
    return steps[-1].attributes.get("sidestep.excluded", "")


async def test_the_first_by_priority_is_asked():
    play = Play(providers={"p1": {"priority": 9}, "p2": {"priority": 1}}, p1=[], p2=[good()])
    await play.ask()

    assert play.network.calls == ["p2"]


async def test_the_one_that_the_client_prefers_is_asked_first():
    play = Play(p1=[], p2=[good()])
    await play.ask(preferred="p2")

    assert play.network.calls == ["p2"]


async def test_a_preference_is_no_veto():
    play = Play(p1=[good()], p2=[says("server_error", 500)])
    await play.ask(preferred="p2")

    assert play.network.calls == ["p2", "p1"]


@pytest.mark.parametrize("preferred", ["nobody", "", "P1"])
async def test_a_preference_for_somebody_unknown_changes_nothing(preferred):
    play = Play(p1=[good()], p2=[])
    await play.ask(preferred=preferred)

    assert play.network.calls == ["p1"]


async def test_a_round_robin_starts_with_the_next_one_each_time():
    play = Play({"strategy": StrategyName.ROUND_ROBIN}, p1=[good()] * 2, p2=[good()] * 2)
    for _ in range(4):
        await play.ask()

    assert play.network.calls == ["p1", "p2", "p1", "p2"]


async def test_the_choice_is_written_down():
    play = Play(p1=[good()], p2=[])
    await play.ask()
    (step,) = (step for step in play.record.steps if step.name == "strategy")

    assert step.attributes == {
        "sidestep.strategy": "primary_only",
        "sidestep.provider": "p1",
        "sidestep.candidates": 2,
    }


# Left out

REASONS = {
    "disabled": {"enabled": False},
    "unconfigured": {"auth": "required"},
    "unsupported": {"supports": frozenset({"images"})},
}


@pytest.mark.parametrize("reason", REASONS)
async def test_a_provider_is_left_out_for_a_reason(reason):
    play = Play(providers={"p1": REASONS[reason]}, p1=[], p2=[good()])
    await play.ask()

    assert play.network.calls == ["p2"]
    assert excluded(play.record) == f"p1:{reason}"


async def test_a_provider_without_tools_is_left_out_when_tools_are_offered():
    play = Play(providers={"p2": {"supports": frozenset({"chat", "tools"})}}, p1=[], p2=[good()])
    await play.ask(tools=True)

    assert excluded(play.record) == "p1:unsupported"


async def test_a_provider_that_cools_down_is_left_out_until_it_has():
    play = Play(p1=[good()], p2=[good()])
    play.state("p1").cool_down.extend(play.clock.now(), 5.0, "rate_limited")
    await play.ask()
    assert excluded(play.record) == "p1:cooling_down"
    await play.clock.sleep(5.0)
    await play.ask()

    assert play.network.calls == ["p2", "p1"]


async def test_a_provider_whose_rate_is_used_up_is_left_out_until_it_is_not():
    rates = {"rate_limit": {"chat": Rate(count=1, period=60.0)}}
    play = Play(providers={"p1": rates}, p1=[good()] * 2, p2=[good()])
    await play.ask()
    await play.ask()
    assert excluded(play.record) == "p1:rate_limited"
    await play.clock.sleep(60.0)
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p1"]


async def test_a_provider_that_is_open_is_left_out():
    play = Play(OPEN_AFTER_ONE, p1=[says("server_error", 500)], p2=[good()] * 2)
    await play.ask()
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p2"]
    assert excluded(play.record) == "p1:open"


async def test_a_provider_that_was_tried_is_left_out():
    play = Play(p1=[says("server_error", 500)], p2=[good()])
    await play.ask()

    assert excluded(play.record) == "p1:tried"


async def test_a_provider_that_recovers_gets_its_traffic_back_little_by_little():
    play = Play(
        OPEN_AFTER_ONE | {"recovery": Recovery(ramp=100.0)},
        p1=[says("server_error", 500)] + [good()] * 2,
        p2=[good()] * 3,
    )
    await play.ask()
    await play.clock.sleep(30.0)
    await play.ask()
    play.clock.drawn = 0.9
    await play.ask()
    await play.clock.sleep(100.0)
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p1", "p2", "p1"]


# The last chance


async def all_open(*scripts):
    """A play whose only provider is open, and then says what the scripts say."""
    play = Play(OPEN_AFTER_ONE, p1=[says("server_error", 500), *scripts])
    await refused(play)
    play.engine.registry.route("chat").last_chance_at = play.clock.now()
    return play


async def test_when_all_are_open_one_request_a_second_is_let_through():
    play = await all_open(good())
    await refused(play)
    await play.clock.sleep(1.0)

    assert (await play.ask()).body == b"fine"
    assert [event.name for event in play.record.events] == ["last_chance"]


async def test_the_others_get_503_at_once():
    play = await all_open(says("server_error", 500))
    await play.clock.sleep(1.0)
    await refused(play)
    for _ in range(5):
        assert isinstance(await refused(play), NoProviderAvailable)

    assert len(play.network.calls) == 2


async def test_the_last_chance_goes_to_who_recovers_soonest():
    settings = {"p1": {"breaker": {"open_for": 60.0}}, "p2": {"breaker": {"open_for": 20.0}}}
    play = Play(OPEN_AFTER_ONE, settings, p1=[says("server_error", 500)], p2=[says("server_error", 500), good()])
    await refused(play)
    await play.clock.sleep(1.0)
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p2"]


async def test_a_last_chance_that_succeeds_closes_the_breaker():
    play = await all_open(good(), good())
    await play.clock.sleep(1.0)
    await play.ask()
    await play.ask()

    assert play.state("p1").breaker.opens_until is None


async def test_a_last_chance_that_fails_does_not_put_the_recovery_off():
    play = await all_open(says("server_error", 500))
    until = play.state("p1").breaker.opens_until
    await play.clock.sleep(1.0)
    await refused(play)

    assert play.state("p1").breaker.opens_until == until
    assert play.at_rest()


async def test_there_is_no_last_chance_while_somebody_only_cools_down():
    play = Play(OPEN_AFTER_ONE, p1=[says("server_error", 500)], p2=[good()])
    await play.ask()
    play.state("p2").cool_down.extend(play.clock.now(), 5.0, "rate_limited")
    await play.clock.sleep(1.0)
    await refused(play)

    assert play.network.calls == ["p1", "p2"]


async def test_a_request_that_has_tried_somebody_gets_no_last_chance_on_top():
    play = Play(OPEN_AFTER_ONE, p1=[says("server_error", 500)], p2=[says("server_error", 500)])
    await refused(play)

    assert play.network.calls == ["p1", "p2"]


async def test_a_hanging_last_chance_lets_another_one_through_after_a_second():
    play = await all_open(hangs(), good())
    await play.clock.sleep(1.0)
    hanging = asyncio.ensure_future(play.ask())
    await play.clock.sleep(0.5)
    await refused(play)
    await play.clock.sleep(0.5)

    assert (await play.ask()).body == b"fine"
    hanging.cancel()
    await asyncio.wait({hanging})
    assert play.at_rest()


async def test_no_second_attempt_is_begun_that_could_not_answer_in_time():
    play = Play({"timeouts": Timeouts(total=1.0)}, p1=[fails("broken", delay=0.97)], p2=[good()])
    with pytest.raises(SidestepError):
        await play.ask()

    assert play.network.calls == ["p1"]
