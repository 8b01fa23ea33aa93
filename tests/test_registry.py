from types import MappingProxyType

import pytest

from proxy.config.secrets import Secret
from proxy.config.snapshot import BreakerSettings, Match, Policy, Provider, Route, Server, Snapshot, Telemetry
from proxy.registry import (
    MEASURED_MODELS,
    UNSUPPORTED_FOR,
    UNSUPPORTED_MODELS,
    ProviderState,
    Registry,
    breaker_settings,
)


def provider(name="p1", **fields):
    defaults = {"dialect": "openai", "base_url": "https://p.test/v1", "supports": frozenset({"chat", "tools"})}
    return Provider(name=name, **(defaults | fields))


def snapshot(*providers, routes=("chat",)):
    return Snapshot(
        generation="g",
        server=Server(),
        telemetry=Telemetry(),
        providers=MappingProxyType({each.name: each for each in providers}),
        routes=tuple(Route(name=name, match=Match(path="/"), providers=(), policy="default") for name in routes),
        policies={"default": Policy(name="default")},
    )


def adopted(*providers):
    registry = Registry()
    registry.adopt(snapshot(*providers))
    return registry


# What survives a reload

SAME = {
    "nothing": {},
    "priority": {"priority": 7},
    "weight": {"weight": 3.0},
    "timeout": {"timeout": 9.0},
    "retries": {"retries": 5},
    "models": {"models": {"a": "b"}},
    "enabled": {"enabled": False},
    "an equal key": {"api_key": Secret("one")},
}
ANOTHER = {
    "name": {"name": "p2"},
    "dialect": {"dialect": "openrouter"},
    "URL": {"base_url": "https://q.test/v1"},
    "key": {"api_key": Secret("two")},
    "no key": {"api_key": None},
}


@pytest.mark.parametrize("change", SAME)
def test_a_provider_that_was_only_retuned_keeps_what_is_known_of_it(change):
    registry = adopted(provider(api_key=Secret("one")))
    state = registry.provider(provider(api_key=Secret("one")), "chat")
    retuned = provider(**({"api_key": Secret("one")} | SAME[change]))
    registry.adopt(snapshot(retuned))

    assert registry.provider(retuned, "chat") is state


@pytest.mark.parametrize("change", ANOTHER)
def test_a_provider_that_is_another_one_begins_anew(change):
    registry = adopted(provider(api_key=Secret("one")))
    state = registry.provider(provider(api_key=Secret("one")), "chat")
    changed = provider(**({"api_key": Secret("one")} | ANOTHER[change]))
    registry.adopt(snapshot(changed))

    assert registry.provider(changed, "chat") is not state


def test_what_is_no_longer_configured_is_forgotten():
    registry = adopted(provider("p1"), provider("p2", base_url="https://q.test/v1"))
    registry.adopt(snapshot(provider("p1")))

    assert [state.name for state in registry.states()] == ["p1"]


def test_a_request_of_the_generation_before_still_finds_a_state():
    registry = adopted(provider("p1"))
    registry.adopt(snapshot())

    assert registry.provider(provider("p1"), "chat") is registry.provider(provider("p1"), "chat")


def test_a_route_keeps_its_rotation_and_budget_over_a_reload():
    registry = adopted(provider())
    route = registry.route("chat")
    registry.adopt(snapshot(provider()))

    assert registry.route("chat") is route


def test_capabilities_at_one_endpoint_share_what_is_known_of_it():
    one = provider(supports=frozenset({"chat", "embeddings"}))
    registry = adopted(one)

    assert registry.provider(one, "chat") is registry.provider(one, "embeddings")


def test_chat_and_images_of_pollinations_are_two_endpoints():
    one = provider(
        dialect="pollinations",
        base_url="",
        text_url="https://text.test/openai",
        image_url="https://image.test/prompt/",
        supports=frozenset({"chat", "images"}),
    )
    registry = adopted(one)

    assert registry.provider(one, "chat") is not registry.provider(one, "images")
    assert len(list(registry.states())) == 2


# Unknown models


def test_an_unknown_model_is_remembered_for_a_while():
    state = ProviderState("p1")
    state.remember_unsupported("m", 100.0)

    assert state.lacks("m", 100.0 + UNSUPPORTED_FOR - 0.1)
    assert not state.lacks("m", 100.0 + UNSUPPORTED_FOR)
    assert not state.lacks("other", 100.0)


def test_of_too_many_unknown_models_the_oldest_are_forgotten():
    state = ProviderState("p1")
    for number in range(UNSUPPORTED_MODELS + 5):
        state.remember_unsupported(f"m{number}", 100.0)

    assert len(state.unsupported) == UNSUPPORTED_MODELS
    assert not state.lacks("m4", 100.0)
    assert state.lacks("m5", 100.0)


# Breaker settings


def test_a_provider_without_breaker_settings_of_its_own_has_the_policys():
    policy = BreakerSettings(failures=9)

    assert breaker_settings(provider(), policy) is policy


def test_a_providers_own_breaker_settings_win_one_by_one():
    settings = breaker_settings(provider(breaker={"failures": 2}), BreakerSettings(failures=9, open_for=5.0))

    assert (settings.failures, settings.open_for) == (2, 5.0)


def test_a_model_is_judged_by_its_own_past_once_it_has_one():
    state = ProviderState("p")
    for _ in range(20):
        state.record("slow", 100.0, ok=True, duration=10.0, first_output=8.0)
    assert state.performance("fast", 100.0).p50 == pytest.approx(10.0, rel=0.05)
    for _ in range(5):
        state.record("fast", 100.0, ok=True, duration=1.0, first_output=0.5)
    assert state.performance("fast", 100.0).p50 == pytest.approx(1.0, rel=0.05)
    assert state.performance("slow", 100.0).p50 == pytest.approx(10.0, rel=0.05)


def test_a_million_model_names_do_not_fill_the_memory():
    state = ProviderState("p")
    for number in range(1000):
        state.record(f"model-{number}", 100.0, ok=False, duration=1.0, first_output=None)
    assert len(state.models) == MEASURED_MODELS


def test_an_attempt_needs_half_of_what_the_first_output_usually_takes():
    state = ProviderState("p")
    assert state.useful_time("m", 100.0) == 0.05
    for _ in range(10):
        state.record("m", 100.0, ok=True, duration=10.0, first_output=4.0)
    assert state.useful_time("m", 100.0) == pytest.approx(2.0, rel=0.05)
