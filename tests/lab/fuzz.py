"""Throw mutated input at everything that reads what strangers write: no crash, and no case that takes long.

    make fuzz [ARGS="--cases 200000 --seed 7 --only sse"]

Cases are made from seeds by a handful of mutations (cut, repeat, splice, flip, insert what is known to hurt), from one
seed for all: the same number always plays the same cases. A case is bad when it raises anything but what the reader
says it raises, or takes longer than 100 ms of the processor.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from proxy.config import environment, shape, text
from proxy.config.snapshot import Provider
from proxy.dialects import DIALECTS
from proxy.dialects.base import StreamReader
from proxy.dialects.pollinations_images import encode as image_call
from proxy.dialects.sse import Splitter
from proxy.errors import ClientError, Failure
from proxy.messages import Expect, Head, Operation, Request, WireRequest
from proxy.resilience.retry_after import retry_after
from proxy.server.exchange import Exchange
from proxy.server.incoming import Incoming
from proxy.server.request import operation_of, parse_document, request_id
from proxy.telemetry.propagation import parse_traceparent, parse_tracestate

SLOW = 0.1
"""Seconds."""

NASTY = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xed\xa0\x80",
    b"{" * 50,
    b"[" * 50,
    b'"',
    b"\\u0000",
]
NASTY += [
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 40,
    b"%2e%2e/",
    b"../",
    b"?",
    b"#",
    b"${X}",
    b"&a *a",
    b"!!python/object:os.system x",
]
NASTY += [
    b"data: ",
    b"event: error",
    b"[DONE]",
    b": ",
    b"id: 1\n\n",
    b"\xe2\x80\xa8",
    b"<<: *a",
    b"\t",
    b"'",
    b"Thu, 01 Jan 1970 00:00:00 GMT",
]

CHUNK = b'data: {"id":"c","model":"m","choices":[{"delta":{"content":"hi"},"finish_reason":null}],"usage":null}\n\n'
DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"hi","logprobs":[]}\n\n'
STREAM = CHUNK * 6 + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WIRE = SimpleNamespace(address="127.0.0.1")
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUESTS = (
    ASK + b"Content-Length: 2\r\n\r\n{}" + b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    ASK + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: y\r\n\r\n" * 2,
    ASK + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + ASK + b"Content-Length: 2\r\n\r\n{}",
    b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
)
PROVIDER = Provider(
    name="p", dialect="openai", base_url="http://127.0.0.1:1/v1", image_url="http://127.0.0.1:1/prompt/"
)
ASKED = Request(id="r", operation=Operation.CHAT, path="/v1/chat/completions", body=b"{}", document={}, stream=True)
SAID = Request(id="r", operation=Operation.RESPONSES, path="/v1/responses", body=b"{}", document={}, stream=True)
CALL = WireRequest(method="POST", url="http://127.0.0.1:1/", headers={}, body=b"{}", model="m", expect=Expect.SSE)
PLAIN = WireRequest(method="POST", url="http://127.0.0.1:1/", headers={}, body=b"{}", model="m", expect=Expect.JSON)
ROUTES = b"""version: 1
server: {listen: 127.0.0.1:8080, limits: {body: 25MiB}}
providers:
  p: {dialect: openai, base_url: "https://host/v1", api_key: "${KEY:-}", timeout: 15s, models: {default: m}}
routes:
  - {name: chat, match: {path: /v1/chat/completions}, providers: [p]}
"""


def split_events(data: bytes, chance: random.Random) -> None:
    """The splitter, cut anywhere."""
    splitter = Splitter()
    at = 0
    while at < len(data):
        step = chance.randint(1, 40)
        splitter.feed(data[at : at + step])
        at += step
    splitter.close()


def read_stream(data: bytes, chance: random.Random) -> None:
    """Every dialect's stream reader, cut anywhere, until it says that it is over: where it is cut changes nothing."""
    name = chance.choice(sorted(DIALECTS))
    asked = chance.choice([ASKED, ASKED, SAID])
    head = Head(200, {"content-type": "text/event-stream"})
    readers = [DIALECTS[name].reader(asked, CALL, head) for _ in range(2)]
    told = [read_cut(reader, data, chance, most) for reader, most in zip(readers, (60, 1500), strict=True) if reader]
    # Pollinations' reader shows nothing of what it holds back when the stream breaks, and what it holds hangs on cuts.
    if told and name != "pollinations" and told[0] != told[1]:
        raise AssertionError(f"{told[0]} is not {told[1]}")


def read_cut(reader: StreamReader, data: bytes, chance: random.Random, most: int) -> tuple[bytes, bool, Failure | None]:
    """Feed a stream in pieces of at most so many bytes."""
    at, forward = 0, b""
    while True:
        step = chance.randint(1, most)
        fed = reader.feed(data[at : at + step]) if at < len(data) else reader.close()
        over = at >= len(data) or fed.ended or fed.failure is not None
        at += step
        forward += fed.forward
        if over:
            return forward, fed.ended, fed.failure


def judge_answer(data: bytes, chance: random.Random) -> None:
    """Every dialect's judgement of a plain answer and of an error."""
    dialect = DIALECTS[chance.choice(sorted(DIALECTS))]
    kind = chance.choice(["application/json", "text/html", "", "image/png"])
    dialect.decode(ASKED, PLAIN, Head(200, {"content-type": kind}), data)
    dialect.failure(Head(chance.choice([300, 400, 402, 403, 404, 429, 500, 502, 530]), {"content-type": kind}), data)


def read_yaml(data: bytes, chance: random.Random) -> None:
    """The configuration, as far as one file goes."""
    document, problems = text.parse("routes.yaml", data)
    if not problems:
        document, problems = environment.resolve(document, {"X": chance.choice(["", "1", "a: b"])})
    if not problems:
        shape.read(document, chance.choice(["routes", "policy"]))


def read_json(data: bytes, _: random.Random) -> None:
    """The gate for request bodies."""
    try:
        parse_document(data)
    except ClientError as error:
        if error.status != 400:
            raise


def read_wait(data: bytes, chance: random.Random) -> None:
    """Retry-After in all its spellings."""
    names = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-requests", "date"]
    headers = {chance.choice(names): data.decode("latin-1") for _ in range(2)}
    found = retry_after(headers, 1_760_000_000.0, limit=120.0)
    if found is not None and not 0 <= found <= 120:
        raise AssertionError(found)


def read_path(data: bytes, _: random.Random) -> None:
    """Targets and identifiers: nothing but the listed endpoints is ever found."""
    target = data.decode("latin-1")
    found = operation_of(target)
    if found is not None and not target.startswith("/v1/"):
        raise AssertionError(target)
    made = request_id(target, "made")
    if any(character in made for character in "\r\n\x00 "):
        raise AssertionError(made)


def quote_prompt(data: bytes, _: random.Random) -> None:
    """A prompt in a path: whatever it holds, it is one segment behind the prefix."""
    document = {"prompt": data.decode("utf-8", "replace")}
    asked = Request(id="r", operation=Operation.IMAGES, path="/v1/images/generations", body=b"", document=document)
    call = image_call(asked, PROVIDER, "flux")
    if isinstance(call, WireRequest):
        path = call.url.removeprefix(PROVIDER.image_url).partition("?")[0]
        if not call.url.startswith(PROVIDER.image_url) or "/" in path or path in {"", ".", ".."}:
            raise AssertionError(call.url)


def read_context(data: bytes, _: random.Random) -> None:
    """Trace context headers."""
    value = data.decode("latin-1")
    parse_traceparent(value)
    if len(parse_tracestate(value)) > 512:
        raise AssertionError(value)


def read_requests(data: bytes, chance: random.Random) -> None:
    """The bytes of one client: where they are cut changes neither the requests in them nor what is wrong with them."""
    told = [requests_in(data, chance, most) for most in (12, 100_000)]
    if told[0] != told[1]:
        raise AssertionError(f"{told[0]} is not {told[1]}")


def requests_in(data: bytes, chance: random.Random, most: int) -> tuple[list[Any], str]:
    """Feed them in pieces of at most so many: the requests as far as they came, and the code of what ended it."""
    found: list[Exchange] = []
    incoming = Incoming(None, WIRE, found.append, int)  # nobody waits for a body here
    at, problem = 0, None
    while at < len(data) and problem is None:
        step = chance.randint(1, most)
        problem = incoming.feed(data[at : at + step])
        at += step
    told = [(each.method, each.path, dict(each.headers), each.closing) for each in found]
    bodies = [(each.payload.read_nowait(), each.payload.ended) for each in found]
    return list(zip(told, bodies, strict=True)), problem.code if problem else ""


@dataclass(frozen=True)
class Target:
    """What is fuzzed, and what its input usually looks like."""

    run: Callable[[bytes, random.Random], None]
    seeds: tuple[bytes, ...]


TARGETS = {
    "sse": Target(split_events, (STREAM, b": note\r\n\r\ndata: a\rdata: b\r\r", b"\xef\xbb\xbfdata:x\n\n")),
    "streams": Target(
        read_stream,
        (
            STREAM,
            STREAM,
            DELTA * 6,
            b'data: {"error":{"message":"x","code":429}}\n\n',
            CHUNK + b"event: error\ndata: {}\n\n",
        ),
    ),
    "answers": Target(
        judge_answer,
        (b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}', b'{"error":"Queue full"}', b"<html>"),
    ),
    "requests": Target(read_requests, REQUESTS),
    "yaml": Target(read_yaml, (ROUTES, b"version: 1\nattempts: 4\ntimeouts: {connect: 5s}\n")),
    "json": Target(read_json, (b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":1.5e3,"t":null}',)),
    "retry-after": Target(
        read_wait, (b"120", b"1m2.5s", b"Thu, 01 Jan 2026 00:00:00 GMT", b"2026-01-01T00:00:00Z", b"1760000060")
    ),
    "paths": Target(read_path, (b"/v1/chat/completions?x=1", b"/v1/models", b"/admin/status", b"abc-123")),
    "prompts": Target(quote_prompt, (b"a cat / a dog? 100%", b"..", b"%2e%2e/%00")),
    "trace-context": Target(read_context, (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"a=1,b@c=2")),
}


def mutate(seed: bytes, chance: random.Random) -> bytes:
    """Change a seed a few times."""
    data = bytearray(seed)
    for _ in range(chance.randint(0, 6)):
        at = chance.randint(0, len(data))
        match chance.randint(0, 5):
            case 0:
                del data[at : at + chance.randint(1, 20)]
            case 1:
                data[at:at] = data[at : at + chance.randint(1, 60)] * chance.choice([1, 2, 20])
            case 2:
                data[at:at] = chance.choice(NASTY)
            case 3 if data:
                data[at % len(data)] ^= 1 << chance.randint(0, 7)
            case 4:
                data[at:at] = chance.randbytes(chance.randint(1, 12))
            case _:
                data = data[at:] + data[:at]
    return bytes(data[:100_000])


def fuzz(name: str, *, cases: int, seed: int) -> tuple[float, list[str]]:
    """Play so many cases; returns the longest one's seconds and what was bad, one line each."""
    target = TARGETS[name]
    chance = random.Random(f"{name} {seed}")
    longest, bad = 0.0, []
    for known in target.seeds:
        target.run(known, chance)  # what is loaded once is not a case's doing
    for number in range(cases):
        data = mutate(chance.choice(target.seeds), chance)
        begun = time.thread_time()
        try:
            target.run(data, chance)
        except Exception as error:  # noqa: BLE001  any is a finding
            bad.append(f"case {number}: {type(error).__name__}: {error} for {data[:200]!r}")
        taken = time.thread_time() - begun
        longest = max(longest, taken)
        if taken > SLOW:
            bad.append(f"case {number}: took {taken * 1000:.0f} ms for {len(data)} bytes beginning {data[:80]!r}")
    return longest, bad


def main() -> int:
    """Fuzz what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    arguments = parser.parse_args()
    found = 0
    print(f"{'target':<14} {'cases':>9} {'longest':>10}  bad")
    for name in arguments.only or TARGETS:
        longest, bad = fuzz(name, cases=arguments.cases, seed=arguments.seed)
        found += len(bad)
        print(f"{name:<14} {arguments.cases:>9} {longest * 1000:>7.1f} ms  {len(bad)}", flush=True)
        for line in bad[:5]:
            print("   ", line)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
