"""What an operator changed by hand wins over the files, and goes back to them."""

from types import MappingProxyType

from proxy.config.snapshot import (
    Match,
    Policy,
    Provider,
    Route,
    Server,
    Snapshot,
    StrategyName,
    Telemetry,
)
from proxy.routing.overrides import Overrides

ON = Provider(name="on", dialect="openai")
OFF = Provider(name="off", dialect="openai", enabled=False)
ROUTE = Route(name="chat", match=Match(path="/v1/chat/completions"), providers=("on", "off"), policy="default")
POLICY = Policy(name="default", strategy=StrategyName.ROUND_ROBIN)


def snapshot(*providers, routes=(ROUTE,)):
    return Snapshot(
        generation="0",
        server=Server(),
        telemetry=Telemetry(),
        providers=MappingProxyType({each.name: each for each in providers}),
        routes=routes,
        policies=MappingProxyType({"default": POLICY}),
    )


def test_without_an_overlay_the_files_decide():
    overrides = Overrides()
    assert (overrides.allows(ON), overrides.allows(OFF)) == (True, False)
    assert overrides.policy(ROUTE, POLICY) is POLICY


def test_a_provider_can_be_taken_out_and_let_in():
    overrides = Overrides()
    overrides.enable(ON, enabled=False)
    overrides.enable(OFF, enabled=True)
    assert (overrides.allows(ON), overrides.allows(OFF)) == (False, True)


def test_a_route_follows_its_policy_with_another_strategy():
    overrides = Overrides()
    overrides.choose(ROUTE, POLICY, StrategyName.RANDOM_AVAILABLE)
    assert overrides.policy(ROUTE, POLICY).strategy is StrategyName.RANDOM_AVAILABLE
    assert overrides.policy(ROUTE, POLICY).attempts == POLICY.attempts


def test_setting_something_back_to_what_the_files_say_leaves_no_overlay():
    overrides = Overrides()
    overrides.enable(ON, enabled=False)
    overrides.enable(ON, enabled=True)
    overrides.choose(ROUTE, POLICY, StrategyName.RANDOM_AVAILABLE)
    overrides.choose(ROUTE, POLICY, StrategyName.ROUND_ROBIN)
    assert (overrides.enabled, overrides.strategies) == ({}, {})


def test_a_reset_takes_everything_back():
    overrides = Overrides()
    overrides.enable(ON, enabled=False)
    overrides.choose(ROUTE, POLICY, StrategyName.RANDOM_AVAILABLE)
    overrides.reset()
    assert overrides.allows(ON)
    assert overrides.policy(ROUTE, POLICY) is POLICY


def test_an_overlay_survives_a_new_generation_that_still_has_its_name():
    overrides = Overrides()
    overrides.enable(ON, enabled=False)
    overrides.choose(ROUTE, POLICY, StrategyName.RANDOM_AVAILABLE)
    overrides.adopt(snapshot(ON, OFF))
    assert not overrides.allows(ON)
    assert overrides.policy(ROUTE, POLICY).strategy is StrategyName.RANDOM_AVAILABLE


def test_a_name_that_went_away_begins_as_its_file_says_when_it_comes_back():
    overrides = Overrides()
    overrides.enable(ON, enabled=False)
    overrides.choose(ROUTE, POLICY, StrategyName.RANDOM_AVAILABLE)
    overrides.adopt(snapshot(OFF, routes=()))
    assert overrides.allows(ON)
    assert overrides.policy(ROUTE, POLICY) is POLICY
