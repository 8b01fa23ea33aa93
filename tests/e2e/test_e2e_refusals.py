"""What is refused before any provider is asked is an answer like any other: headers, a count and a log line."""

import pytest
from lab.client import RawClient, request
from lab.configuration import CHAT, routes
from lab.sidecar import running

REFUSED = {
    "a wrong key": (401, request(document={}, headers={"Authorization": "Bearer wrong"})),
    "no such endpoint": (404, request(target="/v1/nothing", document={}, headers={"Authorization": "Bearer right"})),
    "a wrong method": (405, request("GET", CHAT, headers={"Authorization": "Bearer right"})),
    "the list of models": (200, request("GET", "/v1/models", headers={"Authorization": "Bearer right"})),
}
HEADERS = ("x-request-id", "x-sidestep-provider", "x-sidestep-attempts", "x-sidestep-failover")
HEADERS += ("x-sidestep-route", "x-sidestep-generation", "server-timing")


@pytest.mark.parametrize("name", REFUSED)
async def test_every_answer_has_the_headers(name, p1):
    status, data = REFUSED[name]
    documents = routes({"p1": p1}, server={"client_keys": ["right"]})
    async with running(documents) as sidecar, RawClient(sidecar.port) as client:
        response = await client.ask(data)
    assert response.status == status
    assert [header for header in HEADERS if response.headers.get(header) is None] == []


async def test_every_refusal_is_counted(p1):
    async with running(routes({"p1": p1}, server={"client_keys": ["right"]})) as sidecar:
        for _, data in list(REFUSED.values())[:3]:
            async with RawClient(sidecar.port) as client:
                await client.ask(data)
        assert await sidecar.metric("sidestep_requests_total", outcome="refused") == 3
