"""How a provider is left alone and comes back: breaker, last chance, cool-downs, benches, limits of our own."""

import asyncio

from lab import tokens
from lab.configuration import provider, routes
from lab.fault import status
from lab.replies import asked, ours, served_by
from lab.sidecar import eventually, running

TRIPS = {"failures": 3, "open_for": "100ms", "max_open_for": "100ms"}
STAYS_OPEN = {"failures": 1, "open_for": "60s"}


# Breaker


async def test_three_failures_open_the_breaker_and_one_good_probe_closes_it(p1, p2, pair):
    p1.fault = "status:500"
    async with running(pair, breaker=TRIPS | {"open_for": "300ms", "max_open_for": "300ms"}) as sidecar:
        attempts = [ours(one)["attempts"] for one in await asked(sidecar, 5)]
        assert attempts == ["2", "2", "2", "1", "1"], "nobody pays for a provider that is known to be down"
        assert await sidecar.breaker("p1") == "open"
        p1.fault = "ok"

        async def half_open():
            return await sidecar.breaker("p1") == "half_open"

        await eventually(half_open)
        assert served_by(await sidecar.chat("probe")) == "p1"
        assert await sidecar.breaker("p1") == "closed"
        assert {served_by(one) for one in await asked(sidecar, 3)} == {"p1"}


async def test_a_failed_probe_is_answered_by_the_other_and_keeps_it_open(p1, p2, pair):
    p1.fault = "status:500"
    async with running(pair, breaker=TRIPS | {"max_open_for": "60s"}) as sidecar:
        await asked(sidecar, 3)

        async def half_open():
            return await sidecar.breaker("p1") == "half_open"

        await eventually(half_open)
        probe = await sidecar.chat("probe")
        assert (served_by(probe), ours(probe)["attempts"]) == ("p2", "2")
        assert await sidecar.breaker("p1") == "open"


async def test_a_stream_counts_at_its_end_not_at_its_status_line(p1, p2, pair):
    p1.fault = "cut:2"
    async with running(pair, breaker=STAYS_OPEN) as sidecar:
        assert (await sidecar.chat("a", stream=True)).status == 200
        assert await sidecar.breaker("p1") == "open"
        assert await sidecar.metric("sidestep_requests_total", outcome="broken", status="2xx") == 1


async def test_all_open_is_a_fast_503_but_for_one_last_chance_a_second(p1, p2, pair):
    p1.fault = p2.fault = "status:500"
    async with running(pair, breaker=STAYS_OPEN) as sidecar:
        await sidecar.chat("trip both")
        before = len(p1.requests) + len(p2.requests)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        burst = await asked(sidecar, 20)
        took = loop.time() - begun
        calls = len(p1.requests) + len(p2.requests) - before
        chances = [one for one in burst if one.headers.get("x-sidestep-last-chance")]
        refused = [one for one in burst if one.status == 503]
        assert len(chances) == calls == len(burst) - len(refused)
        assert calls <= 1 + took
        assert refused[0].json()["error"]["code"] == "no_provider_available"
        assert 50 <= int(refused[0].headers.get("retry-after")) <= 73
        assert refused[0].headers.get("retry-after-ms")
        assert refused[0].json()["error"]["sidestep"]["attempts"] == []
    print(f"{took / len(burst) * 1000:.1f} ms for each of {len(burst)} requests")


async def test_the_last_chance_that_works_is_an_answer_and_says_what_it_was(p1, p2, pair):
    p1.fault = p2.fault = "status:500"
    async with running(pair, breaker=STAYS_OPEN) as sidecar:
        await sidecar.chat("trip both")
        p1.fault = p2.fault = "ok"
        response = await sidecar.chat("nonce-last")
    assert response.status == 200
    assert ours(response)["last-chance"] == "true"
    assert tokens.read(response.json()["choices"][0]["message"]["content"]).echo == "nonce-last"


# Cool-downs and limits


async def test_a_rate_limited_provider_is_left_alone_until_its_time(p1, p2, pair):
    p1.schedule = [status(429, retry_after_ms="300")]
    async with running(pair) as sidecar:
        answers = await asked(sidecar, 4)
        told = asyncio.get_running_loop().time()
        assert [served_by(one) for one in answers] == ["p2"] * 4
        assert len(p1.requests) == 1
        assert await sidecar.breaker("p1") == "closed"

        async def back():
            return served_by(await sidecar.chat("again")) == "p1"

        await eventually(back)
        assert p1.requests[1].at - p1.requests[0].at >= 0.3
        assert p1.requests[1].at - told < 2


async def test_our_own_limit_for_a_provider_is_kept_and_the_rest_spills_over(p1, p2):
    pair = routes({"p1": provider(p1, rate_limit={"chat": "5/min"}), "p2": p2})
    async with running(pair) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(f"nonce-{number}") for number in range(20)))
    assert {one.status for one in answers} == {200}
    assert (len(p1.requests), len(p2.requests)) == (5, 15)
    assert {ours(one)["failover"] for one in answers} == {"false"}, "nobody failed"


async def test_when_every_limit_is_used_up_the_client_is_told_when_to_come_back(p1, p2):
    limits = {"rate_limit": {"chat": "1/min"}}
    async with running(routes({"p1": provider(p1, **limits), "p2": provider(p2, **limits)})) as sidecar:
        *_, refused = await asked(sidecar, 3)
    assert refused.status == 429
    assert refused.json()["error"]["code"] == "rate_limited"
    assert 55 <= int(refused.headers.get("retry-after")) <= 60
    assert len(p1.requests) + len(p2.requests) == 2


async def test_a_key_that_was_refused_benches_its_provider_and_opens_no_breaker(p1, p2, pair):
    p1.fault = "status:401"
    async with running(pair) as sidecar:
        assert [served_by(one) for one in await asked(sidecar, 5)] == ["p2"] * 5
        assert len(p1.requests) == 1
        assert await sidecar.breaker("p1") == "closed"
        assert await sidecar.metric("sidestep_provider_cooldown_seconds", provider="p1") > 290


async def test_a_model_that_a_provider_lacks_is_remembered_for_that_model_alone(p1, p2, pair):
    missing = {"error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}
    async with running(pair) as sidecar:
        p1.fault = status(404, missing)
        assert [served_by(one) for one in await asked(sidecar, 3, model="rare")] == ["p2"] * 3
        assert len(p1.requests) == 1
        p1.fault = "ok"
        assert served_by(await sidecar.chat("a", model="common")) == "p1"


async def test_a_provider_without_its_key_gets_no_traffic(p1, p2):
    pair = routes({"p1": provider(p1, auth="required"), "p2": p2})
    async with running(pair) as sidecar:
        answer = await sidecar.chat("a")
    assert ours(answer) == {"provider": "p2", "attempts": "1", "failover": "false", "route": "chat"}
    assert not p1.requests


async def test_beyond_the_limit_in_flight_requests_are_refused_at_once(p1):
    p1.fault = "latency:0.3"
    server = {"limits": {"in_flight": 2}}
    async with running(routes({"p1": p1}, server=server)) as sidecar:
        answers = await asyncio.gather(*(sidecar.chat(f"nonce-{number}") for number in range(6)))
    assert sorted(one.status for one in answers) == [200, 200, 503, 503, 503, 503]
    assert {one.headers.get("retry-after") for one in answers if one.status == 503} == {"1"}
