"""What crosses the sidecar in either direction, and what never does: headers, destinations, status lines."""

import json

import pytest
from lab.client import RawClient, request
from lab.configuration import CHAT, provider, routes
from lab.fault import status
from lab.sidecar import chat, running

SENT = {"host", "content-length", "content-type", "accept", "accept-encoding", "authorization", "traceparent"}
SENT |= {"user-agent"}
"""All that a provider is ever told in headers; `headers:` of its settings come on top."""
ANSWERED = {"content-type", "content-length", "transfer-encoding", "date", "server", "connection"}
ANSWERED |= {"cache-control", "x-accel-buffering", "x-request-id", "server-timing"}
"""All that a client is ever told in headers, beside `x-sidestep-*`."""

SPOOFED = {
    "Connection": "keep-alive, Authorization, X-Secret",
    "Keep-Alive": "timeout=999",
    "Proxy-Connection": "keep-alive",
    "Proxy-Authorization": "Basic canary",
    "TE": "trailers",
    "Trailer": "X-Late",
    "Upgrade": "websocket",
    "Forwarded": "for=canary",
    "X-Forwarded-For": "canary",
    "X-Forwarded-Host": "canary.example",
    "X-Forwarded-Proto": "gopher",
    "X-Real-IP": "canary",
    "Via": "1.1 canary",
    "Cookie": "session=canary",
    "Referer": "http://canary.example",
    "Origin": "http://canary.example",
    "OpenAI-Organization": "canary",
    "X-Api-Key": "canary",
    "Api-Key": "canary",
    "X-HTTP-Method-Override": "DELETE",
    "X-Secret": "canary",
    "Authorization": "Bearer canary",
    "X-Sidestep-Timeout": "5",
    "Baggage": "canary=1",
}
FOREIGN = {
    "Set-Cookie": "id=canary",
    "Server": "canary/1.2.3",
    "X-Powered-By": "canary",
    "Via": "1.1 canary",
    "Location": "http://canary.example",
    "Refresh": "0; url=http://canary.example",
    "X-Ratelimit-Remaining": "canary",
    "OpenAI-Organization": "canary",
    "Access-Control-Allow-Origin": "*",
    "Strict-Transport-Security": "max-age=1",
    "Content-Encoding": "identity",
    "X-Sidestep-Provider": "canary",
    "X-Request-Id": "canary",
    "Clear-Site-Data": "*",
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
}


def names(headers):
    return [name.lower() for name, _ in headers]


# Towards providers


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_provider_is_told_what_we_tell_and_nothing_of_what_a_client_says(p1, stream):
    pair = routes({"p1": provider(p1, api_key="provider-key", headers={"X-Title": "app"})})
    async with running(pair) as sidecar:
        response = await sidecar.chat("question", headers=SPOOFED, stream=stream)
    sent = p1.requests[0].headers

    assert response.status == 200
    assert set(names(sent)) <= SENT | {"x-title"}
    assert len(names(sent)) == len(set(names(sent))), "no header twice"
    assert "canary" not in repr(sent)
    assert sent.get("authorization") == "Bearer provider-key"
    assert sent.get("host") == f"127.0.0.1:{p1.port}"


async def test_a_provider_without_a_key_gets_none_from_the_client_either(p1):
    async with running(routes({"p1": p1})) as sidecar:
        await sidecar.chat("question", headers={"Authorization": "Bearer canary"})

    assert "authorization" not in p1.requests[0].headers


@pytest.mark.parametrize(
    "traceparent",
    [
        "00-" + "a" * 5000,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + "-" * 4000,
        "canary\tcanary",
        "00-00000000000000000000000000000000-0000000000000000-01",
    ],
)
async def test_a_trace_context_that_is_none_is_made_anew(p1, traceparent):
    async with running(routes({"p1": p1})) as sidecar:
        response = await sidecar.chat("question", headers={"traceparent": traceparent, "tracestate": "x" * 4000})
    version, trace, span, flags = p1.requests[0].headers.get("traceparent").split("-")

    assert response.status == 200
    assert (version, len(trace), len(span), len(flags)) == ("00", 32, 16, 2)
    assert trace not in traceparent


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "\ud800", "é" * 300])
async def test_whatever_stands_in_a_field_stays_in_the_body(p1, text):
    async with running(routes({"p1": p1})) as sidecar:
        body = json.dumps(chat("question") | {"model": f"m{text}", "user": text}).encode()
        headers = {"Content-Type": "application/json"}
        async with RawClient(sidecar.port) as client:
            response = await client.ask(request(target=CHAT, body=body, headers=headers))

    assert response.status in {200, 400}
    assert all(set(names(each.headers)) <= SENT and each.target == "/v1/chat/completions" for each in p1.requests)


FIELDS = ("api_base", "base_url", "api_key", "url", "endpoint", "proxy", "callback_url", "webhook", "host")


async def test_no_field_of_a_body_changes_where_it_goes_or_with_which_key(p1, p2):
    fields = dict.fromkeys(FIELDS, f"{p2.url}/v1")
    picture = {"type": "image_url", "image_url": {"url": f"{p2.url}/internal.png"}}
    async with running(routes({"p1": provider(p1, api_key="provider-key")})) as sidecar:
        response = await sidecar.ask(
            **fields, model="small", messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}, picture]}]
        )

    assert response.status == 200
    assert not p2.connections, "data, never an address"
    assert p1.requests[0].headers.get("authorization") == "Bearer provider-key"


# Towards clients


@pytest.mark.parametrize("code", [200, 400, 422])
async def test_a_client_is_told_the_answer_and_none_of_the_provider_s_headers(p1, code):
    p1.fault = status(code, ANSWER if code == 200 else None, **{key.replace("-", "_"): v for key, v in FOREIGN.items()})
    async with running(routes({"p1": p1})) as sidecar:
        response = await sidecar.chat("question")
    told = [name for name in names(response.headers) if not name.startswith("x-sidestep-")]

    assert response.status == code
    assert set(told) <= ANSWERED | {"x-should-retry"}
    assert len(told) == len(set(told)), "no header twice"
    assert "canary" not in repr(response.headers)
    assert response.headers.get("server") == "sidestep"


async def test_a_stream_has_no_header_of_the_provider_s_either(p1):
    p1.fault = "ok"
    async with running(routes({"p1": p1})) as sidecar:
        response = await sidecar.chat("question", stream=True)
    told = [name for name in names(response.headers) if not name.startswith("x-sidestep-")]

    assert set(told) <= ANSWERED
    assert response.headers.get("content-type") == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed_and_no_key_leaves(p1, p2, code):
    p1.fault = status(code, b"", location=f"{p2.url}/v1/chat/completions", set_cookie="id=canary")
    async with running(routes({"p1": provider(p1, api_key="provider-key")})) as sidecar:
        response = await sidecar.chat("question")
        await sidecar.chat("again")

    assert response.status == 502
    assert "location" not in response.headers
    assert not p2.connections
    assert all("cookie" not in each.headers for each in p1.requests), "nor is a cookie kept"
