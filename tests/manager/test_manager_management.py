"""Looking after providers through the manager, the same both ways."""

import pytest

from proxy import FailoverStrategy, ManagementError

HELLO = [{"role": "user", "content": "hello"}]


async def test_statistics_count_what_was_asked(manager, p1):
    p1.schedule = ["status:500"]
    await manager.generate_text(HELLO)
    await manager.generate_text(HELLO)
    told = manager.get_statistics()
    assert (told["total_requests"], told["successful_requests"], told["failover_count"]) == (2, 2, 1)
    assert (told["success_rate"], told["provider_usage"]) == (1.0, {"pollinations": 1, "openrouter": 1})
    assert manager.get_provider_status()["statistics"] == told


async def test_a_disabled_provider_gets_nothing_until_it_is_enabled(manager):
    manager.disable_provider("pollinations")
    assert (await manager.generate_text(HELLO))["provider"] == "openrouter"
    manager.enable_provider("pollinations")
    assert (await manager.generate_text(HELLO))["provider"] == "pollinations"


async def test_a_strategy_can_be_chosen_for_one_route(manager):
    manager.set_failover_strategy(FailoverStrategy.ROUND_ROBIN, route="chat")
    routes = manager.get_provider_status()["routes"]
    assert [routes[name]["strategy"] for name in ("chat", "images")] == ["round_robin", "primary_only"]
    providers = {(await manager.generate_text(HELLO))["provider"] for _ in range(2)}
    assert providers == {"pollinations", "openrouter"}


async def test_every_provider_is_checked_and_told_with_its_time(manager, p2):
    await p2.go_down()
    found = await manager.health_check_all()
    assert list(found) == ["pollinations", "openrouter"]
    well, down = found.values()
    assert (well.healthy, well.status, well.error_message) == (True, "healthy", None)
    assert 0 < well.response_time < 60
    assert not down.healthy
    assert "refused" in down.error_message


async def test_a_check_that_was_forced_shows_in_the_status(manager):
    assert (await manager.force_health_check("pollinations")).healthy
    health = manager.get_provider_status()["providers"]["pollinations"]["health"]
    assert (health["status"], health["consecutive_successes"]) == ("healthy", 1)


async def test_a_breaker_that_opened_shows_in_the_status(manager, p1):
    p1.fault = "status:500"
    for _ in range(3):
        await manager.generate_text(HELLO)
    breaker = manager.get_provider_status()["providers"]["pollinations"]["circuit_breaker"]
    assert (breaker["state"], breaker["failure_count"]) == ("open", 3)


@pytest.mark.parametrize("name", ["nobody", "../stats", "a/b", ""])
async def test_a_name_that_is_not_known_is_said(manager, name):
    with pytest.raises(ManagementError):
        manager.enable_provider(name)
    with pytest.raises(ManagementError):
        manager.set_failover_strategy(FailoverStrategy.ROUND_ROBIN, route=name)
    with pytest.raises(ManagementError):
        await manager.force_health_check(name)


async def test_a_strategy_that_does_not_exist_cannot_be_meant(manager):
    with pytest.raises(ValueError, match="cheapest"):
        manager.set_failover_strategy("cheapest")
