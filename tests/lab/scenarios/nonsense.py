"""What clients say: too much, what is not JSON, two requests in one. No provider hears of it."""

import asyncio
import contextlib
import json

from lab import http1
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

WRONG = "A client sends nonsense"
SMUGGLES = "A client smuggles"

# Too much


def refused(
    chapter: str, name: str, status: int | tuple[int, ...], *lines: str, body: bytes | None = None, fast: bool = False
) -> Scenario:
    """One raw request that must be refused with this status before any provider is asked."""
    allowed = (status,) if isinstance(status, int) else status

    async def play(stage: Stage) -> None:
        head = [lines[0], "Host: 127.0.0.1", f"Authorization: Bearer {stage.gateway.key}", *lines[1:]]
        data = "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")
        response = await stage.raw(data)
        stage.see(f"{response.status}")
        stage.expect(response.status in allowed, f"{response.status}: {response.body[:200]!r}")
        stage.expect(100 not in response.interim, "told to go on")
        stage.expect(not stage.primary.requests + stage.secondary.requests, "a provider was asked")
        stage.expect((await stage.ask()).answered, "the next request was not answered")

    said = " or ".join(map(str, allowed))
    return Scenario(
        name=name,
        chapter=chapter,
        expected=f"{said}; no provider is asked",
        play=play,
        fast=fast,
        primary={"timeout": "4s"},
    )


POST = "POST /v1/chat/completions HTTP/1.1"
JSON = "Content-Type: application/json"
BIG = 22 * 2**20
TOO_MUCH = [
    refused(WRONG, "a request line of 100 KB", (414, 431, 400), f"POST /v1/chat/completions?{'x' * 100_000} HTTP/1.1"),
    refused(WRONG, "a header of 100 KB", 431, POST, f"X-Long: {'x' * 100_000}", fast=True),
    refused(WRONG, "a thousand headers", 431, POST, *(f"X-{number}: y" for number in range(1000))),
    refused(WRONG, "a body over the limit, declared", 413, POST, JSON, f"Content-Length: {BIG}"),
    refused(
        WRONG,
        "a body over the limit that waits for 100",
        413,
        POST,
        JSON,
        f"Content-Length: {BIG}",
        "Expect: 100-continue",
        fast=True,
    ),
    refused(
        WRONG,
        "a body over the limit, chunked",
        413,
        POST,
        JSON,
        "Transfer-Encoding: chunked",
        body=(b"100000\r\n" + b"x" * 2**20 + b"\r\n") * 22 + b"0\r\n\r\n",
    ),
]

# Bad JSON


def bad_json(name: str, body: bytes, *, fast: bool = False) -> Scenario:
    """400 in OpenAI's shape."""

    async def play(stage: Stage) -> None:
        stage.history.uncounted = True
        async with stage.gateway.client() as client:
            response = await client.ask(stage.gateway.request(body=body))
        stage.see(f"{response.status} {response.json()['error']['code']}")
        stage.expect(response.status == 400, f"{response.status}: {response.body[:200]!r}")
        stage.expect(not stage.primary.requests, "a provider was asked")

    return Scenario(
        name=name,
        chapter=WRONG,
        expected="400 `invalid_json` or `invalid_request`; no provider is asked",
        play=play,
        fast=fast,
    )


ASKED = b'"messages": [{"role": "user", "content": "x"}]'
BAD_JSON = [
    bad_json("an empty body", b""),
    bad_json("an array", b"[]"),
    bad_json("a byte order mark", b"\xef\xbb\xbf{}"),
    bad_json("NaN", b'{"model": "small", "temperature": NaN, %b}' % ASKED),
    bad_json("half a surrogate", b'{"model": "\\ud800", %b}' % ASKED),
    bad_json("100,000 levels", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", fast=True),
    bad_json("bytes that are not UTF-8", b'{"model": "\xff\xfe"}'),
    bad_json("two models", b'{"model": "a", "model": "b", %b}' % ASKED),
    bad_json("two streams", b'{"model": "a", "stream": false, "stream": true, %b}' % ASKED),
]

# Smuggling: whatever is made of it, the upstream sees at most one normal request of ours

GOOD = json.dumps({"model": "small", "messages": [{"role": "user", "content": "good"}]}).encode()
EVIL = b"POST /v1/evil HTTP/1.1\r\nHost: evil\r\nContent-Length: 0\r\n\r\n"


def smuggling(name: str, *headers: str, body: bytes, fast: bool = False) -> Scenario:
    """A second request hidden in the framing of the first."""

    async def play(stage: Stage) -> None:
        stage.history.uncounted = True
        lines = [POST, "Host: 127.0.0.1", f"Authorization: Bearer {stage.gateway.key}", JSON, *headers, "", ""]
        statuses = []
        async with stage.gateway.client() as client:
            await client.send("\r\n".join(lines).encode("latin-1") + body)
            with contextlib.suppress(TimeoutError, http1.IncompleteMessage, ConnectionError):
                async with asyncio.timeout(1.5):
                    while True:
                        statuses.append((await client.response()).status)
        asked = stage.primary.requests + stage.secondary.requests
        stage.see(f"answered with {statuses or 'a closed connection'}, {len(asked)} to providers")
        stage.expect(all("evil" not in one.target for one in asked), "the hidden request reached a provider")
        stage.expect(len(asked) <= 1, f"{len(asked)} requests reached providers")
        for one in asked:
            stage.expect(one.body == GOOD and one.headers.get("transfer-encoding") is None, f"it got {one.body[:80]!r}")

    return Scenario(
        name=name,
        chapter=SMUGGLES,
        play=play,
        fast=fast,
        primary={"timeout": "4s"},
        expected="refused, or passed on as exactly one normal request",
    )


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
LENGTH = f"Content-Length: {len(GOOD)}"
SMUGGLING = [
    smuggling("length and chunks", LENGTH, "Transfer-Encoding: chunked", body=CHUNKED + EVIL, fast=True),
    smuggling("chunks and length 0", "Transfer-Encoding: chunked", "Content-Length: 0", body=CHUNKED + EVIL),
    smuggling("two lengths", LENGTH, f"Content-Length: {len(GOOD) + len(EVIL)}", body=GOOD + EVIL),
    smuggling("a list of lengths", f"Content-Length: {len(GOOD)}, {len(GOOD)}", body=GOOD),
    smuggling("a length with a plus", f"Content-Length: +{len(GOOD)}", body=GOOD + EVIL),
    smuggling("a length in hex", "Content-Length: 0x10", body=GOOD + EVIL),
    smuggling("a negative length", "Content-Length: -1", body=GOOD + EVIL),
    smuggling("a space before the colon", f"Content-Length : {len(GOOD)}", body=GOOD + EVIL),
    smuggling("chunked, obfuscated", LENGTH, "Transfer-Encoding: xchunked", body=GOOD + EVIL),
    smuggling("chunked behind a tab", LENGTH, "Transfer-Encoding:\tchunked", body=CHUNKED + EVIL),
    smuggling("chunked twice", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNKED + EVIL),
    smuggling("a folded header", "Transfer-Encoding:", " chunked", body=CHUNKED + EVIL),
    smuggling("a chunk size with a sign", "Transfer-Encoding: chunked", body=b"+" + CHUNKED + EVIL),
    smuggling("a chunk size that overflows", "Transfer-Encoding: chunked", body=b"ffffffffffffffffff\r\n" + EVIL),
    smuggling("a chunk extension with a line end", "Transfer-Encoding: chunked", body=b"5;a\nb\r\n" + GOOD + EVIL),
    smuggling(
        "h2c", LENGTH, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk", body=GOOD
    ),
]


@scenario(
    SMUGGLES, "stripped or written anew: providers see our own headers only", primary={"timeout": "4s"}, fast=True
)
async def hop_by_hop_and_forged_headers(stage: Stage) -> None:
    forged = {
        "Connection": "x-request-id, authorization",
        "Keep-Alive": "timeout=9",
        "TE": "trailers",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "evil",
        "Forwarded": "for=6.6.6.6",
        "traceparent": "00-" + "a" * 5000,
        "tracestate": "x" * 3000,
        "Proxy-Authorization": "Basic eDp5",
    }
    sent = await stage.ask(headers=forged)
    stage.expect(sent.answered, f"{sent.status}: {sent.body[:100]!r}")
    got = {name.lower() for name, _ in stage.primary.requests[0].headers}
    own = {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "content-type",
        "content-length",
        "authorization",
        "traceparent",
    }
    stage.expect(got <= own, f"the provider saw {sorted(got - own)}")


@scenario(SMUGGLES, "data only: nobody is called, nothing is fetched", primary={"timeout": "4s"})
async def addresses_in_the_body(stage: Stage) -> None:
    url = f"{stage.secondary.url}/internal"
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    await stage.ask("look", messages=[{"role": "user", "content": parts}], api_base=url, base_url=url, url=url)
    stage.expect(len(stage.primary.requests) == 1, "the provider was not asked")
    stage.expect(not stage.secondary.requests, "an address in the body was called")


PROMPTS = (
    "../../admin",
    "%2e%2e/%2e%2e/admin",
    "a?model=evil&key=1",
    "a#b",
    "a\r\nHost: evil\r\n\r\n",
    "..",
    "/",
    "..;/x",
    "a\\..\\b",
    "\u2025/\uff0e\uff0e/",
)


@scenario(
    SMUGGLES,
    "quoted: the path's beginning never changes, no parameter and no header is added",
    images=True,
    primary={"timeout": "4s", "api_key": "canary-primary-03bd52"},
    fast=True,
)
async def a_picture_s_prompt_that_climbs(stage: Stage) -> None:
    stage.history.uncounted = True
    for prompt in PROMPTS:
        before = len(stage.primary.requests)
        async with stage.gateway.client() as client:
            document = {"prompt": prompt, "model": "../flux?x", "size": "64x64"}
            response = await client.ask(stage.gateway.request(document, path="/images/generations"))
        for one in stage.primary.requests[before:]:
            stage.expect(one.path.startswith("/prompt/") and one.path.count("/") == 2, f"{prompt!r} became {one.path}")
            stage.expect(
                "evil" not in str(one.headers) and "key" not in one.query, f"{prompt!r} left the path: {one.target}"
            )
        stage.expect(response.status in (200, 400), f"{prompt!r}: {response.status} {response.body[:100]!r}")


TARGETS = (
    "/v1/../admin/status",
    "/v1//chat/completions",
    "/%76%31/chat/completions",
    "/admin/status",
    "/metrics",
    "http://127.0.0.1:8081/admin/status",
    "/v1/chat/completions/",
    "/v1/chat/completions;x",
    "//admin/status",
    "/v1/chat/completions/../../../metrics",
    "*",
)


@scenario(
    SMUGGLES, "matched as it stands: never the operator's pages, never a provider", primary={"timeout": "4s"}, fast=True
)
async def paths_that_climb(stage: Stage) -> None:
    for target in TARGETS:
        for host in ("127.0.0.1", "x/admin?"):
            lines = [
                f"POST {target} HTTP/1.1",
                f"Host: {host}",
                f"Authorization: Bearer {stage.gateway.key}",
                JSON,
                LENGTH,
            ]
            response = await stage.raw("\r\n".join([*lines, "", ""]).encode() + GOOD)
            stage.expect(response.status in (400, 404), f"{target} as {host}: {response.status}")
            stage.expect(b"breaker" not in response.body, f"{target} as {host} told the operator's secrets")
    stage.expect(
        not stage.primary.requests, f"a provider was asked for {[one.target for one in stage.primary.requests]}"
    )


SCENARIOS = [*TOO_MUCH, *BAD_JSON, *SMUGGLING, *scenarios_in(globals())]
