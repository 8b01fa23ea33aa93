"""What was written for the manager that sidestep grew from runs unchanged: `usage.md`, fence by fence, both ways."""

import ast
import asyncio
import inspect
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PAGE = Path(__file__).parent / "usage.md"
FENCE = re.compile(r"^## ([^\n]*)\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = dict(FENCE.findall(PAGE.read_text()))
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
HELLO = [{"role": "user", "content": "Hello!"}]

PRINTED = {
    "Basic Usage": r"Response: p1.* = Hello! How are you\?\nProvider used: pollinations\nImage URL: http://\S+\n",
    "Advanced Usage": r"",
    "Health Monitoring": (
        r"pollinations: Healthy\nResponse time: 0\.\d{3}s\nopenrouter: Healthy\nResponse time: 0\.\d{3}s\n"
        r"Total requests: 0\nSuccess rate: 0\.0%\n"
    ),
    "Performance Metrics": (
        r"Total requests: 0\nSuccessful requests: 0\nFailover count: 0\nSuccess rate: 0\.0%\n"
        r"Provider usage: {'pollinations': 0, 'openrouter': 0}\n"
    ),
    "Health Status": (
        r"(\n\w+:\n  Enabled: True\n  Usage count: 0\n  Health: unknown\n"
        r"  Consecutive failures: 0\n  Last check: None\n"
        r"  Success rate: 0\.0%\n  Avg response time: 0\.000s\n  Requests/min: 0\.0\n){2}"
    ),
    "Random Available": r"",
    "Provider Management": r"",
    "Statistics Management": r"",
    "Provider Always Fails": (
        r"{'pollinations': HealthResult\(healthy=True, .*\n{'pollinations': {'enabled': True, .*\n"
    ),
    "High Failover Rate": (
        r"Failover count: 0\npollinations: closed \(failures: 0\)\nopenrouter: closed \(failures: 0\)\n"
    ),
    "Slow Response Times": r"pollinations: 0\.000s avg\nopenrouter: 0\.000s avg\n",
    "Monitoring Setup": r"",
    "Example Optimization": r"",
}


@pytest.fixture
def play(manager, monkeypatch, capsys):
    """Run the snippet under a heading; what it printed, and the names that it left behind."""
    monkeypatch.setitem(sys.modules, "running", SimpleNamespace(ai_provider_manager=manager))

    async def play(heading):
        names = {
            "ai_provider_manager": manager,
            "messages": HELLO,
            "tool": TOOL,
            "logger": logging.getLogger("app"),
        }
        code = compile(SNIPPETS[heading], f"usage.md, {heading}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        awaited = eval(code, names)
        if inspect.isawaitable(awaited):
            await awaited
        return capsys.readouterr().out, names

    return play


def test_every_snippet_is_expected_to_print_something_or_nothing():
    assert set(SNIPPETS) == set(PRINTED)


@pytest.mark.parametrize("heading", [name for name in PRINTED if name != "Monitoring Setup"])
async def test_a_snippet_runs_and_prints_what_it_promises(play, heading):
    printed, _ = await play(heading)
    assert re.fullmatch(PRINTED[heading], printed), printed


async def test_an_error_is_printed_as_one(play, p1, p2):
    p1.fault = p2.fault = "status:500"
    printed, _ = await play("Basic Usage")
    assert printed.startswith("Error: no provider could answer (asked: pollinations, openrouter)")


async def test_the_preferred_provider_is_asked_and_every_parameter_reaches_it(play, p1, p2):
    _, names = await play("Advanced Usage")
    preferring, custom = p2.requests[0], p1.requests[0]
    assert preferring.document["messages"] == HELLO
    assert custom.document == {
        "messages": HELLO,
        "model": "nvidia/nemotron-nano-9b-v2:free",
        "temperature": 0.8,
        "max_tokens": 1500,
        "tools": [TOOL],
        "tool_choice": "auto",
    }
    assert names["result"]["tool_calls"][0]["function"]["name"] == "weather"


async def test_the_strategy_is_changed_on_every_route(play, manager):
    await play("Random Available")
    routes = manager.get_provider_status()["routes"]
    assert {name: route["strategy"] for name, route in routes.items()} == {
        "chat": "best_performance",
        "images": "best_performance",
    }


async def test_providers_are_managed_and_checked(play, manager, p1):
    await play("Provider Management")
    providers = manager.get_provider_status()["providers"]
    assert [each["enabled"] for each in providers.values()] == [False, True]
    assert p1.requests[0].method == "GET"


async def test_statistics_begin_anew(play, manager):
    await manager.generate_text(HELLO)
    _, names = await play("Statistics Management")
    assert names["stats"]["total_requests"] == 0


async def test_a_failover_is_logged_by_who_asks_for_it(play, p1, caplog):
    p1.fault = "status:500"
    with caplog.at_level(logging.INFO, logger="app"):
        await play("Example Optimization")
    assert [record.getMessage() for record in caplog.records if record.name == "app"] == ["Failover used: openrouter"]


async def test_two_rounds_of_the_monitor_warn_twice_of_a_provider_that_is_down(play, p1, caplog, monkeypatch):
    await p1.go_down()
    rounds, seen_enough, sleep = [], asyncio.Event(), asyncio.sleep

    async def one_minute_is_nothing(seconds):
        if seconds != 60:
            await sleep(seconds)
            return
        rounds.append(seconds)
        if len(rounds) == 2:
            seen_enough.set()
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", one_minute_is_nothing)
    await play("Monitoring Setup")
    async with asyncio.timeout(10):
        await seen_enough.wait()

    warnings = [record.getMessage() for record in caplog.records if record.name == "app"]
    assert len(warnings) == 2
    assert all(warning.startswith("Provider pollinations unhealthy: ") for warning in warnings)
