"""The description of the admin API is true: everything in it answers as it says, to good requests and to bad ones.

Schemathesis makes the requests from the description alone. The one operation that never ends, `events`, has tests of
its own.
"""

import asyncio

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from lab.operator import READS, TOKEN, WRITES
from schemathesis import GenerationMode

from proxy.server.admin.listener import description

OPERATIONS = {
    each.ok().definition.raw["operationId"]: each.ok()
    for each in schemathesis.openapi.from_dict(description()).get_all_operations()
}
ENDLESS = "events"
PLAIN = [name for name in OPERATIONS if name != ENDLESS]
NAMED = {"enableProvider": "p1", "disableProvider": "p1", "checkProvider": "p1", "chooseStrategy": "chat"}
"""Operations with a name in their path, and one that exists."""


def ask(operation, mode, port, **given_parts):
    """Send what schemathesis makes of an operation, and hold the answers to the description."""

    @settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode, **given_parts))
    def run(case):
        case.call_and_validate(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"})

    run()


@pytest.mark.parametrize("name", PLAIN)
async def test_what_is_described_answers_as_described(sidecar, name):
    await sidecar.chat("hello")
    await asyncio.to_thread(ask, OPERATIONS[name], GenerationMode.POSITIVE, sidecar.admin_port)


@pytest.mark.parametrize("name", NAMED)
async def test_a_name_that_exists_is_answered_as_described(sidecar, name):
    path = {"name": NAMED[name]}
    await asyncio.to_thread(ask, OPERATIONS[name], GenerationMode.POSITIVE, sidecar.admin_port, path_parameters=path)


@pytest.mark.parametrize("name", NAMED)
async def test_what_is_described_as_wrong_is_refused_as_described(sidecar, name):
    await asyncio.to_thread(ask, OPERATIONS[name], GenerationMode.NEGATIVE, sidecar.admin_port)


async def test_the_description_is_served(operator):
    assert await operator.get("/admin/openapi.json") == description()


def test_everything_that_there_is_is_described():
    described = {
        (method.upper(), path.replace("{name}", "chat" if "/routes/" in path else "p1"))
        for path, methods in description()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    public = {("GET", path) for path in ("/livez", "/readyz", "/metrics", "/admin/events")}
    assert described == {("GET", path) for path in READS} | set(WRITES) | public
