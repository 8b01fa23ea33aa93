"""Canary keys appear in no sink, even when a provider repeats them in everything that it says."""

import json

import pytest
from lab import otlp
from lab.configuration import CHAT, provider, routes
from lab.fault import Fault
from lab.sidecar import process
from lab.tokens import token

PRIMARY, SECOND = "canary-primary-4f1d2a", "canary-second-77b0c3"
CLIENT, OPERATOR = "canary-client-9e8d7c", "canary-operator-5a5b5c"
COOKIE = "canary-cookie-0badcafe"
CANARIES = (PRIMARY, SECOND, CLIENT, OPERATOR, COOKIE)
TOLD = f"{PRIMARY} {SECOND} {CLIENT}"
"""What a provider may have seen of ours, and repeats."""
ERROR = {"error": {"message": f"bad key {TOLD}", "type": TOLD, "param": TOLD, "code": TOLD}}
HEADERS = {"Set-Cookie": f"session={COOKIE}", "X-Key": TOLD, "Server": TOLD}
CHUNK = {"choices": [{"index": 0, "delta": {"content": token("p1", 1, 0)}, "finish_reason": None}]}
BROKEN = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in (CHUNK, ERROR))


def echo(code, body=ERROR, **headers):
    return Fault(name="status", arg=str(code), body=body, headers=HEADERS | headers)


ECHOES = {
    "500": echo(500),
    "503 as text": echo(503, TOLD),
    "429": echo(429),
    "401": echo(401),
    "402": echo(402),
    "404": echo(404),
    "400": echo(400),
    "422 as a list": echo(422, {"detail": [{"msg": TOLD, "loc": [TOLD]}]}),
    "200 with an error": echo(200),
    "200 as text": echo(200, TOLD),
    "a stream that breaks": echo(200, BROKEN, **{"Content-Type": "text/event-stream"}),
    "a redirect": echo(307, "", Location=f"http://127.0.0.1:9/{TOLD.replace(' ', '/')}"),
}


COMBINATIONS = [(name, both, stream) for name in ECHOES for both in (False, True) for stream in (False, True)]


def leaks(text):
    return [canary for canary in CANARIES if canary in text]


def printed(response):
    return repr(response.headers) + response.body.decode("utf-8", "replace")


@pytest.fixture
def collector():
    with otlp.http_receiver() as receiver:
        yield receiver


def configuration(p1, p2, collector):
    """A pair of its own for every combination, so that what one does to its providers is not felt by the next."""
    providers, entries = {}, []
    for place in range(len(COMBINATIONS)):
        providers[f"p{place}"] = provider(p1, api_key="${PRIMARY_KEY}")
        providers[f"q{place}"] = provider(p2, api_key=SECOND)
        match = {"path": CHAT, "model": f"m{place}"}
        entries.append({"name": f"r{place}", "match": match, "providers": [f"p{place}", f"q{place}"]})
    server = {"client_keys": [CLIENT, "another"], "admin": {"listen": "127.0.0.1:0", "token": OPERATOR}}
    traces = {"exporter": "otlp", "endpoint": collector.endpoint, "protocol": "http"}
    return routes(providers, server=server, telemetry={"traces": traces, "content": True}) | {"routes": entries}


async def test_no_key_is_in_any_sink_whatever_the_providers_repeat(p1, p2, collector, monkeypatch):
    monkeypatch.setenv("PRIMARY_KEY", PRIMARY)
    mine = {"Authorization": f"Bearer {CLIENT}", "Cookie": TOLD}
    seen = []
    async with process(configuration(p1, p2, collector), "--log-level", "debug") as program:
        for place, (name, both, stream) in enumerate(COMBINATIONS):
            p1.fault, p2.fault = ECHOES[name], ECHOES[name] if both else "ok"
            seen.append(await program.chat("a", mine, stream=stream, model=f"m{place}"))
        seen.append(await program.chat("a", {"Authorization": f"Bearer {PRIMARY}"}))
        seen += [await program.admin(path) for path in ("/metrics", "/livez", "/nowhere")]
        program.terminate()
        assert await program.ended() == 0
        outputs = {"stdout": program.stdout.read_text(), "stderr": program.stderr.read_text()}
    told = {response.status for response in seen}
    assert {200, 400, 401, 404, 422, 429, 502} <= told, "each kind of ending was met"
    assert p1.requests[0].headers.get("authorization") == f"Bearer {PRIMARY}", "the key was in use"
    assert len({span.trace_id for span in collector.spans}) >= len(COMBINATIONS)
    assert [
        (response.status, leaks(printed(response)), response.body) for response in seen if leaks(printed(response))
    ] == []
    assert {sink: leaks(text) for sink, text in outputs.items() if leaks(text)} == {}
    assert [(span.name, leaks(repr(span)), span) for span in collector.spans if leaks(repr(span))] == []
