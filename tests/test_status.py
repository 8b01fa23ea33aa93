"""Status sums a provider up over its endpoints and tells what was done by hand."""

from types import MappingProxyType

import pytest

from proxy.config.snapshot import (
    BreakerSettings,
    Match,
    Policy,
    Provider,
    Rate,
    Route,
    Server,
    Snapshot,
    StrategyName,
    Telemetry,
)
from proxy.registry import Registry
from proxy.statistics import Statistics
from proxy.status import Moment, status_document

ONE = Provider(name="one", dialect="openai", base_url="http://127.0.0.1:1/v1", auth="optional")
TWO = Provider(
    name="two",
    dialect="pollinations",
    text_url="http://127.0.0.1:2/openai",
    image_url="http://127.0.0.1:3/prompt/",
    auth="optional",
    supports=frozenset({"chat", "tools", "images"}),
    rate_limit={"chat": Rate(count=20, period=60.0)},
)
ROUTE = Route(name="chat", match=Match(path="/v1/chat/completions"), providers=("one", "two"), policy="default")
POLICY = Policy(name="default")
SNAPSHOT = Snapshot(
    generation="abc",
    server=Server(),
    telemetry=Telemetry(),
    providers=MappingProxyType({"one": ONE, "two": TWO}),
    routes=(ROUTE,),
    policies=MappingProxyType({"default": POLICY}),
)
AT = Moment(now=1000.0, wall=1_800_000_000.0)


@pytest.fixture
def registry():
    registry = Registry()
    registry.adopt(SNAPSHOT)
    return registry


def status(registry, statistics=None):
    return status_document(registry, SNAPSHOT, statistics or Statistics(since=0.0), AT)


def trip(state, now=AT.now):
    settings = BreakerSettings(failures=1, open_for=30.0)
    permit = state.breaker.acquire(now, settings)
    state.breaker.failure(permit, now, settings, 0.0)


def test_providers_and_routes_are_maps_by_name(registry):
    document = status(registry)
    assert list(document["providers"]) == ["one", "two"]
    assert list(document["routes"]) == ["chat"]


def test_every_provider_is_named_in_the_usage_from_the_start(registry):
    assert status(registry)["statistics"]["provider_usage"] == {"one": 0, "two": 0}


def test_nothing_is_known_of_a_provider_that_nobody_asked(registry):
    one = status(registry)["providers"]["one"]
    assert one["health"]["status"] == "unknown"
    assert one["performance"]["requests"] == 0
    assert one["performance"]["p50"] is None
    assert one["circuit_breaker"] == {
        "state": "closed",
        "failure_count": 0,
        "opens_until": None,
        "open_since": None,
    }


def test_an_open_breaker_says_until_when_in_epoch_seconds(registry):
    trip(registry.provider(ONE, "chat"))
    breaker = status(registry)["providers"]["one"]["circuit_breaker"]
    assert breaker["state"] == "open"
    assert breaker["opens_until"] == AT.wall + 30.0
    assert breaker["open_since"] == AT.wall


def test_a_provider_is_as_badly_off_as_its_worst_endpoint(registry):
    trip(registry.provider(TWO, "images"))
    two = status(registry)["providers"]["two"]
    assert two["circuit_breaker"]["state"] == "open"
    by_capability = {tuple(each["capabilities"]): each["circuit_breaker"]["state"] for each in two["endpoints"]}
    assert by_capability == {("chat",): "closed", ("images",): "open"}


def test_a_provider_with_one_endpoint_lists_none(registry):
    assert "endpoints" not in status(registry)["providers"]["one"]


def test_requests_add_up_over_the_endpoints(registry):
    registry.provider(TWO, "chat").window.record(AT.now, ok=True, duration=1.0, first_output=None)
    registry.provider(TWO, "chat").window.record(AT.now, ok=True, duration=1.0, first_output=None)
    registry.provider(TWO, "images").window.record(AT.now, ok=True, duration=4.0, first_output=None)
    registry.provider(TWO, "images").window.record(AT.now, ok=False, duration=9.0, first_output=None)
    seen = status(registry)["providers"]["two"]["performance"]
    assert (seen["requests"], seen["success_rate"]) == (4, 0.75)
    assert seen["average_response_time"] == pytest.approx(2.0)


def test_a_cool_down_says_how_long_and_why(registry):
    registry.provider(TWO, "chat").cool_down.extend(AT.now, 12.0, "rate_limited")
    assert status(registry)["providers"]["two"]["cool_down"] == {"remaining": 12.0, "reason": "rate_limited"}


def test_a_cool_down_that_is_over_is_not_told(registry):
    registry.provider(TWO, "chat").cool_down.extend(AT.now - 20.0, 12.0, "rate_limited")
    assert status(registry)["providers"]["two"]["cool_down"] == {"remaining": 0.0, "reason": None}


def test_what_is_left_of_a_rate_limit_is_told(registry):
    rate = TWO.rate_limit["chat"]
    registry.provider(TWO, "chat").limiter("chat").take(AT.now, rate)
    assert status(registry)["providers"]["two"]["rate_limit"] == {"chat": {"limit": 20, "period": 60.0, "left": 19}}


def test_a_provider_that_was_disabled_by_hand_says_so_and_what_its_file_says(registry):
    registry.overrides.enable(ONE, enabled=False)
    one = status(registry)["providers"]["one"]
    assert (one["enabled"], one["overridden"], one["configured_enabled"]) == (False, True, True)
    assert one["health"]["status"] == "disabled"


def test_a_strategy_that_was_chosen_by_hand_says_so_and_what_its_policy_says(registry):
    registry.overrides.choose(ROUTE, POLICY, StrategyName.ROUND_ROBIN)
    route = status(registry)["routes"]["chat"]
    assert (route["strategy"], route["overridden"], route["configured_strategy"]) == (
        "round_robin",
        True,
        "primary_only",
    )
