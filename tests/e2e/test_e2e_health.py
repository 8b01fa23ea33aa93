"""The health monitor against real sockets: it learns what is dead before a request does."""

from lab.configuration import provider, routes
from lab.sidecar import eventually, running

QUICKLY = {"interval": "50ms", "timeout": "500ms", "unhealthy_after": 2, "healthy_after": 2}


def served_by(response):
    return response.headers.get("x-sidestep-provider")


async def is_told(sidecar, name, status):
    return await sidecar.metric("sidestep_provider_health", provider=name, status=status) == 1


async def test_a_primary_that_died_unseen_costs_no_request_and_returns_when_it_is_back(p1, p2, pair):
    async with running(pair, health=QUICKLY) as sidecar:
        await eventually(lambda: is_told(sidecar, "p1", "healthy"))
        await p1.go_down()
        await eventually(lambda: is_told(sidecar, "p1", "unhealthy"))
        answer = await sidecar.chat("a")
        assert (served_by(answer), answer.headers.get("x-sidestep-attempts")) == ("p2", "1")
        await p1.come_back()
        await eventually(lambda: is_told(sidecar, "p1", "healthy"))
        assert served_by(await sidecar.chat("b")) == "p1"
    assert {asked.target for asked in p2.requests if asked.method == "GET"} == {"/v1/models"}


async def test_the_only_provider_is_asked_whatever_its_checks_say(p1):
    health = QUICKLY | {"path": "/nobody-serves-this"}
    async with running(routes({"p1": provider(p1, health=health)})) as sidecar:
        await eventually(lambda: is_told(sidecar, "p1", "unhealthy"))
        assert (await sidecar.chat("a")).status == 200
        assert await sidecar.metric("sidestep_health_checks_total", provider="p1", result="failed") >= 2


async def test_checks_share_the_connections_of_traffic(p1):
    async with running(routes({"p1": p1}), health=QUICKLY) as sidecar:
        await sidecar.chat("a")
        await p1.until(lambda: sum(asked.method == "GET" for asked in p1.requests) >= 3)
    assert len(p1.connections) == 1


async def test_a_completion_that_was_allowed_proves_a_real_answer(p1):
    health = QUICKLY | {"allow_cost": True, "model": "tiny", "interval": "0s"}
    async with running(routes({"p1": provider(p1, health=health)})) as sidecar:
        (good,) = await sidecar.sidecar.prober.check("p1")
        p1.fault = "empty_choices"
        (bad,) = await sidecar.sidecar.prober.check("p1")
    assert (good.finding, bad.finding) == ("ok", "failed")
    assert [(asked.target, asked.get("max_tokens")) for asked in p1.requests] == [("/v1/chat/completions", 16)] * 2


async def test_a_refused_key_is_benched_until_a_check_finds_it_good(p1, p2):
    key = {"api_key": "sk-canary", "auth": "required"}
    async with running(routes({"p1": provider(p1, **key), "p2": p2})) as sidecar:
        p1.fault = "status:401"
        assert served_by(await sidecar.chat("a")) == "p2"
        assert [each.finding for each in await sidecar.sidecar.prober.check("p1")] == ["failed"]
        p1.fault = "ok"
        assert served_by(await sidecar.chat("b")) == "p2"
        assert [each.finding for each in await sidecar.sidecar.prober.check("p1")] == ["ok"]
        assert served_by(await sidecar.chat("c")) == "p1"
