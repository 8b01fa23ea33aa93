"""What users of other proxies complain of, as far as no other test here has it as its subject."""

import json

import pytest
from lab.client import RawClient, request
from lab.configuration import provider, routes
from lab.fault import FAULTS
from lab.sidecar import chat, eventually, process, running
from lab.ways import AFTER, BEFORE, cases, strike

PATIENT = {"connect": "1s", "first_output": "5s", "idle": "200ms", "total": "8s"}
IMPATIENT = {"timeout": "150ms"}
SAME = {name: fault for name, fault in BEFORE.items() if name != "an empty stream"}
"""A plain answer cannot break in that way; what it meets instead is another kind of failure."""
WRONG = "canary-guessed-key-41bb0e"


async def decided(case, p1, p2, *, stream):
    """Whom a fresh sidecar asked, how each call was judged, and what it told the client of that."""
    p1.requests.clear()
    p2.requests.clear()
    async with running(routes({"p1": provider(p1, **IMPATIENT), "p2": p2}), timeouts=PATIENT) as sidecar:
        answer = await sidecar.chat("question", stream=stream)
        page = (await sidecar.admin("/metrics")).body.decode()
    judged = sorted(line for line in page.splitlines() if line.startswith("sidestep_attempts_total{"))
    told = [answer.headers.get(f"x-sidestep-{name}") for name in ("provider", "attempts", "failover")]
    return answer.status, told, judged, len(p1.requests), len(p2.requests)


@pytest.mark.parametrize("case", cases(SAME), ids=str)
async def test_a_stream_and_a_plain_request_meet_the_same_decisions(case, p1, p2):
    """Elsewhere the two have policies of their own, and a stream is not failed over."""
    await strike(p1, case)
    plain = await decided(case, p1, p2, stream=False)
    assert plain == await decided(case, p1, p2, stream=True)
    assert plain[:2] == (200, ["p2", "2", "true"])


CREATED = {"type": "response.created", "response": {"id": "r1", "object": "response", "status": "in_progress"}}
FAILED = {"type": "error", "code": "server_error", "message": "simulated"}
SAID = {"type": "response.output_text.delta", "item_id": "m1", "output_index": 0, "content_index": 0, "delta": "hello"}
DONE = {"type": "response.completed", "response": {"id": "r1", "object": "response", "status": "completed"}}


def telling(*events):
    """A fault that streams these events of the Responses API and ends."""

    async def strike(exchange, _):
        await exchange.begin()
        for event in events:
            await exchange.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await exchange.end()

    return strike


async def test_a_response_that_was_created_and_failed_is_another_provider_s(p1, p2, monkeypatch):
    """Elsewhere its first event counts as output, and other endpoints than chat have no failover at all."""
    monkeypatch.setitem(FAULTS, "created_and_failed", telling(CREATED, FAILED))
    monkeypatch.setitem(FAULTS, "created_and_said", telling(CREATED, SAID, DONE))
    p1.fault, p2.fault = "created_and_failed", "created_and_said"
    pair = {"p1": provider(p1, supports=["responses", "chat"]), "p2": provider(p2, supports=["responses", "chat"])}
    documents = routes(pair)
    documents["routes"][0] |= {"name": "responses", "match": {"path": "/v1/responses"}}
    async with running(documents, timeouts=PATIENT) as sidecar:
        answer = await sidecar.ask("/v1/responses", model="small", input="question", stream=True)
    assert (answer.status, answer.headers.get("x-sidestep-provider")) == (200, "p2")
    assert [json.loads(event)["type"] for event in answer.events()] == [each["type"] for each in (CREATED, SAID, DONE)]
    assert (len(p1.requests), len(p2.requests)) == (1, 1)


@pytest.mark.parametrize("fault", [*AFTER.values(), "error_mid_string:1"])
async def test_a_stream_that_broke_and_has_nobody_else_costs_one_call_and_ends(fault, p1):
    """Elsewhere an error in mid-stream, without a fallback, is an endless loop."""
    p1.fault, p1.interval = fault, 0.02  # its first token is shown before the break comes
    async with running(routes({"p1": p1}), timeouts=PATIENT) as sidecar:
        answer = await sidecar.chat("question", stream=True)
        assert await sidecar.metric("sidestep_requests_in_flight") == 0
    assert len(p1.requests) == 1
    assert set(json.loads(answer.events()[-1])) == {"error"}


async def test_the_frame_of_a_stream_that_broke_names_every_attempt(p1, p2):
    """Whoever shows half an answer wants to know who gave it, and who had failed before."""
    p1.fault, p2.fault = "status:503", "cut:2"
    async with running(routes({"p1": p1, "p2": p2}), timeouts=PATIENT) as sidecar:
        answer = await sidecar.chat("question", stream=True)
    told = json.loads(answer.events()[-1])["error"]["sidestep"]["attempts"]
    assert [(each["provider"], each["class"]) for each in told] == [("p1", "overloaded"), ("p2", "broken")]


async def test_a_guessed_client_key_is_written_nowhere(p1):
    """Elsewhere it stands in the log: most often it is a real one, of another service."""
    documents = routes({"p1": p1}, server={"client_keys": ["the-right-client-key"]})
    async with process(documents) as program:
        for headers in ({"Authorization": f"Bearer {WRONG}"}, {"x-api-key": WRONG}, {"Authorization": WRONG}):
            async with RawClient(program.port) as client:
                answer = await client.ask(request(document=chat("question"), headers=headers))
            assert answer.status == 401
            assert WRONG.encode() not in answer.body

        async def logged():
            return sum(line["message"] == "request" for line in program.log) == 3

        await eventually(logged)
        page = (await program.admin("/metrics")).body.decode()
        assert WRONG not in page + program.stdout.read_text() + program.stderr.read_text()
    assert not p1.requests
