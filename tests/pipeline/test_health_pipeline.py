"""What health means for the choice of a provider, and what live traffic means for health."""

import asyncio

import pytest
from staging import Play, fails, good, says

from proxy.config.snapshot import BreakerSettings, HealthSettings, ProviderHealth, Recovery
from proxy.errors import ErrorClass, SidestepError
from proxy.resilience.health import Status

NEVER_OPENS = {"breaker": BreakerSettings(failures=1000, min_requests=1000)}
CHECKED = HealthSettings()


def avoid(play, *names):
    """Let the checks of these providers fail."""
    for name in names:
        for _ in range(CHECKED.unhealthy_after):
            play.state(name).health.fail(CHECKED, "refused", check=True)


async def test_a_provider_whose_checks_fail_is_passed_over():
    play = Play(p1=[good()], p2=[good(), good()])
    avoid(play, "p1")
    for _ in range(2):
        await play.ask()
    assert play.network.calls == ["p2", "p2"]


async def test_the_choice_tells_why():
    play = Play(p2=[good()], p1=[])
    avoid(play, "p1")
    await play.ask()
    strategy = next(step for step in play.record.steps if step.name == "strategy")
    assert strategy.attributes["sidestep.excluded"] == "p1:unhealthy"


async def test_when_all_are_unhealthy_they_are_asked_as_if_none_were():
    play = Play(p1=[good()] * 5, p2=[])
    avoid(play, "p1", "p2")
    for _ in range(5):
        await play.ask()
    assert play.network.calls == ["p1"] * 5


async def test_when_the_healthy_one_fails_the_unhealthy_one_is_asked_all_the_same():
    play = Play(p1=[good()], p2=[fails("broken", sent=False)])
    avoid(play, "p1")
    await play.ask()
    assert play.network.calls == ["p2", "p1"]


async def test_an_unhealthy_one_is_asked_before_a_client_is_told_to_wait():
    play = Play(p1=[good()], p2=[])
    avoid(play, "p1")
    play.state("p2").cool_down.extend(play.clock.now(), 60.0, ErrorClass.RATE_LIMITED)
    await play.ask()
    assert play.network.calls == ["p1"]


async def test_an_unhealthy_one_with_an_open_breaker_is_not_pressed():
    play = Play({"breaker": BreakerSettings(failures=1)}, p1=[], p2=[fails("connect", sent=False)])
    avoid(play, "p1")
    p1 = play.state("p1")
    settings = BreakerSettings(failures=1)
    p1.breaker.failure(p1.breaker.acquire(play.clock.now(), settings), play.clock.now(), settings, 0.0)
    with pytest.raises(SidestepError):
        await play.ask()
    assert play.network.calls == ["p2"]


async def test_without_checks_an_old_verdict_of_theirs_does_not_count():
    play = Play(providers={"p1": {"health": ProviderHealth(interval=0.0)}}, p1=[good()], p2=[])
    avoid(play, "p1")
    await play.ask()
    assert play.network.calls == ["p1"]


async def test_live_answers_prove_health():
    play = Play(p1=[good()])
    await play.ask()
    assert play.state("p1").health.status is Status.HEALTHY


async def test_live_failures_degrade_and_then_condemn_but_do_not_take_out():
    play = Play({**NEVER_OPENS, "attempts": 1}, p1=[fails("timeout")] * 3 + [good()])
    seen = []
    for _ in range(3):
        with pytest.raises(SidestepError):
            await play.ask()
        seen.append(play.state("p1").health.status)
    assert seen == [Status.DEGRADED, Status.DEGRADED, Status.UNHEALTHY]
    assert not play.state("p1").health.avoided
    await play.ask()
    assert play.state("p1").health.last_error == "timeout: the network: timeout"


@pytest.mark.parametrize("error_class", ["rate_limited", "invalid_request", "content_policy", "auth", "quota"])
async def test_what_says_nothing_about_the_endpoint_leaves_its_health(error_class):
    play = Play(p1=[says(error_class, 429 if error_class == "rate_limited" else 400)])
    with pytest.raises(SidestepError):
        await play.ask()
    assert play.state("p1").health.status is Status.UNKNOWN


async def test_a_change_of_health_by_traffic_is_noted_on_its_attempt():
    play = Play(p1=[good(), good()])
    await play.ask()
    await play.ask()
    noted = [[event.name for event in record.attempts[0].events] for record in play.records]
    assert noted == [["health.change"], []]
    assert play.records[0].attempts[0].events[0].attributes == {
        "sidestep.provider": "p1",
        "sidestep.health": "healthy",
    }


async def test_one_that_its_checks_gave_back_gets_its_traffic_along_the_ramp():
    play = Play({"recovery": Recovery(ramp=60.0)}, p1=[good()], p2=[good()])
    avoid(play, "p1")
    for _ in range(CHECKED.healthy_after):
        play.state("p1").health.succeed(CHECKED, play.clock.now())
    assert play.state("p1").recovered_at() == play.clock.now()
    play.clock.drawn = 0.25
    await play.ask()
    await asyncio.sleep(60)
    await play.ask()
    assert play.network.calls == ["p2", "p1"]
