"""What the operator changes takes effect at once, is told back, and can be taken back."""

import json

import pytest
from lab.client import RawClient, request
from lab.configuration import provider as described
from lab.configuration import write
from lab.operator import TOKEN, Operator, managed
from lab.sidecar import Running, eventually, running

from proxy.config.load import load
from proxy.reload import Source
from proxy.server.sidecar import Sidecar


@pytest.fixture
async def reloadable(p1, p2, tmp_path):
    """A sidecar over files, and the file."""
    file = write(tmp_path, managed({"p1": p1, "p2": p2}), {})
    sidecar = Sidecar(load(file, None, {}), Source(routes=file, policies=None, environment={}))
    await sidecar.start()
    try:
        yield Operator(Running(sidecar.address.port, sidecar.admin_address.port, sidecar)), file
    finally:
        await sidecar.close()


async def provider_of(sidecar):
    return (await sidecar.chat("hello")).headers.get("x-sidestep-provider")


async def test_statistics_count_what_the_app_asked(sidecar, operator):
    await sidecar.chat("hello")
    stats = await operator.get("/admin/stats")
    assert (stats["total_requests"], stats["successful_requests"], stats["success_rate"]) == (1, 1, 1.0)
    assert stats["provider_usage"] == {"p1": 1, "p2": 0}
    assert stats["failover_count"] == 0


async def test_a_failover_is_counted_and_seen_in_status(p1, sidecar, operator):
    p1.fault = "status:500"
    await sidecar.chat("hello")
    status = await operator.get("/admin/status")
    assert status["statistics"]["failover_count"] == 1
    assert status["providers"]["p2"]["usage_count"] == 1
    assert status["providers"]["p1"]["health"]["last_error"].startswith("server_error")


async def test_a_breaker_that_opened_is_seen_in_status(p1, sidecar, operator):
    p1.fault = "status:500"
    for _ in range(3):
        await sidecar.chat("hello")
    one = (await operator.get("/admin/status"))["providers"]["p1"]
    assert one["circuit_breaker"]["state"] == "open"
    assert one["circuit_breaker"]["opens_until"] > 1_600_000_000
    assert one["health"]["status"] == "unhealthy"


async def test_a_reset_counts_from_zero(sidecar, operator):
    await sidecar.chat("hello")
    assert (await operator.change("POST", "/admin/stats/reset"))["total_requests"] == 0
    assert (await operator.get("/admin/stats"))["provider_usage"] == {"p1": 0, "p2": 0}


async def test_a_disabled_provider_gets_no_traffic_until_it_is_enabled(sidecar, operator):
    assert (await operator.change("POST", "/admin/providers/p1/disable"))["enabled"] is False
    assert await provider_of(sidecar) == "p2"
    assert (await operator.change("POST", "/admin/providers/p1/enable"))["overridden"] is False
    assert await provider_of(sidecar) == "p1"


async def test_with_every_provider_disabled_the_app_is_told_so(sidecar, operator):
    for name in ("p1", "p2"):
        await operator.change("POST", f"/admin/providers/{name}/disable")
    assert (await sidecar.chat("hello")).status == 503


async def test_a_disabled_provider_shows_in_the_metrics(sidecar, operator):
    await operator.change("POST", "/admin/providers/p1/disable")
    assert await sidecar.metric("sidestep_provider_enabled", provider="p1") == 0
    assert await sidecar.metric("sidestep_provider_health", provider="p1", status="disabled") == 1


async def test_a_strategy_takes_effect_at_once(sidecar, operator):
    route = await operator.change("PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"})
    assert (route["strategy"], route["configured_strategy"]) == ("round_robin", "primary_only")
    assert {await provider_of(sidecar) for _ in range(2)} == {"p1", "p2"}


async def test_a_reset_takes_everything_back(sidecar, operator):
    await operator.change("POST", "/admin/providers/p1/disable")
    await operator.change("PUT", "/admin/routes/chat/strategy", {"strategy": "random_available"})
    status = await operator.change("POST", "/admin/overrides/reset")
    assert not status["providers"]["p1"]["overridden"]
    assert not status["routes"]["chat"]["overridden"]
    assert await provider_of(sidecar) == "p1"


async def test_a_check_asks_the_provider_and_tells_what_it_found(p1, operator):
    checked = await operator.change("POST", "/admin/providers/p1/check")
    assert [each["finding"] for each in checked["checks"]] == ["ok"]
    assert checked["health"]["last_check"] > 1_600_000_000
    assert len(p1.requests) == 1


async def test_a_check_of_a_provider_that_is_down_says_so(p1, operator):
    await p1.go_down()
    checked = await operator.change("POST", "/admin/providers/p1/check")
    assert [each["finding"] for each in checked["checks"]] == ["failed"]
    assert checked["health"]["consecutive_failures"] == 1


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/admin/providers/p9/enable", "unknown_provider"),
        ("POST", "/admin/providers/p9/check", "unknown_provider"),
        ("PUT", "/admin/routes/p1/strategy", "unknown_route"),
    ],
)
async def test_an_unknown_name_is_a_404(operator, method, path, code):
    response = await operator.ask(method, path, {"strategy": "round_robin"} if method == "PUT" else None)
    assert (response.status, response.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"round_robin"',
        b"{}",
        b'{"strategy": "fastest"}',
        b'{"strategy": null}',
        b'{"strategy": ["round_robin"]}',
        b'{"strategy": "round_robin", "more": 1}',
        b'{"strategy": "round_robin", "strategy": "primary_only"}',
        b'{"strategy": NaN}',
        b"\xff",
        b"[" * 5000,
    ],
)
async def test_a_body_that_is_not_a_strategy_is_a_400_and_changes_nothing(operator, body):
    assert (await operator.ask("PUT", "/admin/routes/chat/strategy", body=body)).status == 400
    assert (await operator.get("/admin/status"))["routes"]["chat"]["overridden"] is False


async def test_a_body_over_its_limit_is_a_413_even_when_it_does_not_say_how_long_it_is(sidecar, operator):
    document = {"strategy": "round_robin", "more": "x" * 65536}
    assert (await operator.ask("PUT", "/admin/routes/chat/strategy", document)).status == 413
    fields = {"Transfer-Encoding": "chunked", "Authorization": f"Bearer {TOKEN}"}
    async with RawClient(sidecar.admin_port) as client:
        await client.send(request("PUT", "/admin/routes/chat/strategy", headers=fields))
        await client.send(b"10001\r\n" + b"x" * 0x10001 + b"\r\n")
        assert (await client.response()).status == 413


async def test_models_of_a_disabled_provider_are_not_listed(p1):
    async with running(managed({"p1": described(p1, models={"fast": "x"})})) as sidecar:
        await Operator(sidecar).change("POST", "/admin/providers/p1/disable")
        async with RawClient(sidecar.port) as client:
            listed = (await client.ask(request("GET", "/v1/models"))).json()
    assert listed["data"] == []


async def test_a_reload_tells_what_changed(reloadable):
    operator, file = reloadable
    file.write_text(file.read_text().replace('"priority": 2', '"priority": 7'))
    result = await operator.change("POST", "/admin/reload")
    assert result["changed"] == ["provider p2: priority"]
    assert (await operator.get("/admin/status"))["generation"] == result["generation"]


async def test_a_bad_file_is_a_422_with_every_problem_and_changes_nothing(reloadable):
    operator, file = reloadable
    before = (await operator.get("/admin/status"))["generation"]
    file.write_text(file.read_text().replace('"priority": 2', '"prioritty": 2'))
    response = await operator.ask("POST", "/admin/reload")
    assert (response.status, response.json()["error"]["code"]) == (422, "invalid_configuration")
    (problem,) = response.json()["problems"]
    assert (problem["file"], problem["line"] > 1) == (str(file), True)
    assert "priority" in problem["message"]
    status = await operator.get("/admin/status")
    assert status["generation"] == before
    assert status["reload"] == {"ok": False, "problems": [problem]}


async def test_what_was_done_by_hand_survives_a_reload(reloadable):
    operator, file = reloadable
    await operator.change("POST", "/admin/providers/p1/disable")
    await operator.change("PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"})
    file.write_text(file.read_text().replace('"priority": 2', '"priority": 7'))
    await operator.change("POST", "/admin/reload")
    status = await operator.get("/admin/status")
    assert status["providers"]["p1"]["enabled"] is False
    assert status["routes"]["chat"]["strategy"] == "round_robin"


async def test_without_files_there_is_nothing_to_reload(operator):
    response = await operator.ask("POST", "/admin/reload")
    assert (response.status, response.json()["error"]["code"]) == (409, "no_files")


async def test_the_configuration_is_shown_with_its_places_and_without_secrets(reloadable):
    operator, file = reloadable
    shown = await operator.get("/admin/config")
    assert shown["settings"]["providers"]["p1"]["priority"]["from"].startswith(f"{file}:")
    assert shown["settings"]["server"]["admin"]["token"]["value"] == "***"
    assert TOKEN not in json.dumps(shown)


async def test_the_last_requests_are_told_without_their_content(p1, sidecar, operator):
    p1.fault = "status:500"
    await sidecar.chat("a secret question")
    (entry,) = (await operator.get("/admin/requests"))["requests"]
    assert [(rung["provider"], rung["class"]) for rung in entry["attempts"]] == [("p1", "server_error"), ("p2", "ok")]
    assert "secret" not in json.dumps(entry)


async def test_a_request_under_way_is_in_flight(p1, sidecar, operator):
    p1.fault = "hang"
    async with RawClient(sidecar.port) as client:
        await client.send(request(document={"model": "small", "messages": [{"role": "user", "content": "hello"}]}))

        async def seen():
            status = await operator.get("/admin/status")
            return status["in_flight"] == 1 and status["providers"]["p1"]["in_flight"] == 1

        await eventually(seen)
