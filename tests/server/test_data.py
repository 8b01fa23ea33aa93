"""The app's listener over real sockets: what every answer carries, and what is written down about a request."""

import pytest
from lab.client import RawClient, request
from lab.sidecar import chat
from lab.tokens import read

GOOD = request(document=chat("question"))
ON_EVERY_ANSWER = [
    "server",
    "x-request-id",
    "x-sidestep-provider",
    "x-sidestep-attempts",
    "x-sidestep-failover",
    "x-sidestep-route",
    "x-sidestep-generation",
    "server-timing",
]


async def told(port, data):
    async with RawClient(port) as client:
        return await client.ask(data)


async def test_every_answer_carries_our_headers(sidecar):
    headers = (await sidecar.chat("question")).headers

    assert [name for name in ON_EVERY_ANSWER if name not in headers] == []
    assert (headers.get("x-sidestep-provider"), headers.get("x-sidestep-attempts")) == ("p1", "1")


async def test_every_error_after_a_provider_was_asked_carries_them_too(sidecar, upstream):
    upstream.fault = "status:500"
    response = await sidecar.chat("question")

    assert response.status == 502
    assert [name for name in ON_EVERY_ANSWER if name not in response.headers] == []
    assert response.headers.get("x-should-retry") == "false"


async def test_the_clients_own_request_id_comes_back(sidecar):
    assert (await sidecar.chat("question", {"x-request-id": "mine-1"})).headers.get("x-request-id") == "mine-1"


async def test_a_request_id_that_is_not_safe_is_replaced(sidecar):
    headers = (await sidecar.chat("question", {"x-request-id": "<script>"})).headers

    assert len(headers.get("x-request-id")) == 32
    assert headers.all("x-request-id") == [headers.get("x-request-id")]


@pytest.mark.parametrize(("path", "body"), [("/livez", b"ok\n"), ("/readyz", b"ok\n"), ("/readyz?verbose=1", b"ok\n")])
async def test_a_probe_is_answered_without_contact_to_a_provider(sidecar, upstream, path, body):
    response = await told(sidecar.port, request("GET", path))

    assert (response.status, response.body) == (200, body)
    assert "x-sidestep-provider" not in response.headers
    assert not upstream.connections


async def test_the_models_are_listed_without_contact_to_a_provider(sidecar, upstream):
    response = await told(sidecar.port, request("GET", "/v1/models"))

    assert (response.status, response.json()) == (200, {"object": "list", "data": []})
    assert response.headers.get("content-type") == "application/json"
    assert not upstream.connections


async def test_an_unknown_model_is_a_404_in_openais_shape(sidecar):
    response = await told(sidecar.port, request("GET", "/v1/models/a%2Fb"))

    assert (response.status, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_model_that_no_route_takes_is_a_404(sidecar, upstream):
    response = await sidecar.ask("/v1/embeddings", model="small", input="x")

    assert (response.status, response.json()["error"]["code"]) == (404, "no_route")
    assert not upstream.requests


@pytest.mark.parametrize("body", [b'{"model": "a"', b'{"model": "small", "messages": []}'])
async def test_the_query_of_a_request_is_written_down_nowhere(sidecar, body):
    target = "/v1/chat/completions?key=canary"
    await told(sidecar.port, request(target=target, body=body, headers={"Content-Type": "application/json"}))

    (record,) = sidecar.records
    assert record.request.path == "/v1/chat/completions"


async def test_the_clients_headers_are_not_forwarded(sidecar, upstream):
    sent = {"Authorization": "Bearer mine", "Cookie": "a=b", "X-Custom": "c", "x-sidestep-timeout": "5"}
    await sidecar.chat("question", sent)

    names = {name.lower() for name, _ in upstream.requests[0].headers}
    assert not names & {"authorization", "cookie", "x-custom", "x-sidestep-timeout", "expect", "x-request-id"}


async def test_a_stream_comes_as_events_in_chunks_that_nobody_may_cache(sidecar):
    response = await sidecar.chat("question", stream=True)

    assert response.headers.get("content-type") == "text/event-stream; charset=utf-8"
    assert response.headers.get("cache-control") == "no-cache"
    assert response.headers.get("transfer-encoding") == "chunked"
    assert "content-length" not in response.headers
    assert response.events()[-1] == "[DONE]"


async def test_a_broken_stream_ends_properly_after_its_error_frame(sidecar, upstream):
    upstream.fault = "cut:2"
    response = await sidecar.chat("question", stream=True)

    assert response.complete
    assert '"error"' in response.events()[-1]


async def test_a_broken_stream_is_cut_when_the_policy_says_abort(serve, upstream):
    upstream.fault = "cut:2"
    async with serve({"streaming": {"on_break": "abort"}}) as sidecar:
        response = await sidecar.chat("question", stream=True)

        assert not response.complete
        assert "[DONE]" not in response.events()
        assert (await sidecar.chat("question")).status == 502
    assert sidecar.records[0].broken is not None


async def test_a_deadline_of_the_clients_own_is_a_504_and_no_failure_of_the_provider(sidecar, upstream):
    upstream.fault = "hang"
    response = await sidecar.chat("question", {"x-sidestep-timeout": "0.05"})

    assert (response.status, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert response.headers.get("x-should-retry") == "false"
    assert sidecar.records[0].attempts[0].failure.error_class == "cancelled"


async def test_nothing_is_in_flight_after_an_answer(sidecar):
    answer = await sidecar.chat("question")

    assert read(answer.json()["choices"][0]["message"]["content"]).echo == "question"
    registry = sidecar.sidecar.engine.registry
    assert (registry.in_flight, [state.in_flight for state in registry.states() if state.in_flight]) == (0, [])


async def test_every_request_is_observed_exactly_once(sidecar, upstream):
    upstream.schedule = ["ok", "status:400", "cut:1"]
    for body in (chat("q"), chat("q"), chat("q", stream=True)):
        await sidecar.ask(**body)
    await told(sidecar.port, request(body=b"[]", headers={"Content-Type": "application/json"}))

    assert [record.status for record in sidecar.records] == [200, 400, 200, 400]
