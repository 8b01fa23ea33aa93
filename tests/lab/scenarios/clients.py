"""What clients do on the wire over time: leave, dawdle, upload. Nobody else suffers."""

import asyncio
import contextlib

from lab.client import RawClient
from lab.fault import Fault
from lab.gateway import LIMITS
from lab.history import Sent
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

LEAVES = "A client leaves"
SLOW = "A client dawdles"

# Leaving

PATIENT = {"timeouts": {"connect": "1s", "first_output": "15s", "idle": "15s", "total": "15s"}}


def leaving(name: str, fault: str, *, fast: bool = False) -> Scenario:
    """By FIN, half-close and RST; the upstream must see it within 100 ms."""

    async def play(stage: Stage) -> None:
        waits = [await _leave(stage, how) * 1000 for how in ("FIN", "half-close", "RST")]
        stage.figures["closed"] = max(waits)
        stage.see(f"upstream closed after {max(waits):.1f} ms at most")
        limit = 100 if stage.history.timed else 2000
        stage.expect(max(waits) <= limit, f"the upstream call was closed after {max(waits):.0f} ms only")
        stage.expect(not stage.secondary.requests, "another provider was asked for a client that had left")
        stage.expect(await stage.breaker() == "closed", "a client's leaving was counted against the provider")

    return Scenario(
        name=name,
        chapter=LEAVES,
        expected="the upstream call is closed within 100 ms; nobody is blamed, nothing leaks",
        play=play,
        fault=fault,
        primary={"timeout": "15s"},
        policy=PATIENT,
        fast=fast,
    )


async def _leave(stage: Stage, how: str) -> float:
    """Ask, wait until the upstream is at it, leave; the seconds until the upstream saw that."""
    upstream, loop = stage.primary, asyncio.get_running_loop()
    count = len(upstream.requests) + 1
    sent = Sent(f"leaves-{count}", stream=True, begun=loop.time(), left=True)
    stage.history.sent.append(sent)
    async with stage.gateway.client() as client:
        await client.send(stage.gateway.chat(sent.nonce, stream=True))
        await upstream.until(lambda: len(upstream.requests) == count)
        await asyncio.sleep(0.05)  # let the upstream get to where it stops
        connection = upstream.connections[upstream.requests[-1].connection]
        gone = loop.time()
        if how == "half-close":
            await client.half_close()
        elif how == "FIN":
            client.writer.close()
        else:
            client.abort()
        await upstream.until(lambda: connection.client_left is not None, within=3)
    sent.ended = loop.time()
    return (connection.client_left or gone) - gone


LEAVING = [
    leaving("before the headers", "hang", fast=True),
    leaving("before the first output", "role_then_stall"),
    leaving("in the middle of a stream", "stall:2", fast=True),
    leaving("while a slow stream flows", "pace:0.02"),
]

# Dawdling

LIMIT = float(str(LIMITS["header_time"]).removesuffix("s"))

LINGER = 2.0
"""Seconds that a refused client gets to read why."""


async def _closed_in_time(stage: Stage, wires: list[RawClient], limit: float) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    closed = await asyncio.gather(*(wire.closed(within=limit + 4) for wire in wires))
    took = loop.time() - begun
    stage.expect(all(closed), f"{closed.count(False)} of {len(wires)} connections were kept")
    stage.expect(not stage.history.timed or took <= limit + 1, f"closed after {took:.1f} s only")
    stage.see(f"{len(wires)} connections closed within {took:.1f} s")


def dawdling(name: str, data: bytes, expected: str, *, within: float = LIMIT) -> Scenario:
    """Many connections that send a little and wait, while good traffic goes on. `within`: seconds to their end."""

    async def play(stage: Stage) -> None:
        stage.history.uncounted = True
        async with contextlib.AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(stage.gateway.client()) for _ in range(stage.requests * 5)]
            for wire in wires:
                await wire.send(data)
            good = asyncio.ensure_future(stage.storm())
            await _closed_in_time(stage, wires, within)
            stage.expect(all(sent.answered for sent in await good), "good traffic suffered")
        stage.expect(len(stage.primary.requests) == stage.requests, "a provider was asked for half a request")

    return Scenario(name=name, chapter=SLOW, expected=expected, play=play, primary={"timeout": "4s"})


HALF_A_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Slow: "
HALF_A_BODY = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer canary-client-1c9a40\r\n"
    b'Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"model"'
)
DAWDLING = [
    dawdling("headers that never end", HALF_A_HEAD, "closed after `header_time`; good traffic is unaffected"),
    dawdling(
        "a body that never ends",
        HALF_A_BODY,
        "told 408 after `body_time`, closed 2 s later; good traffic is unaffected",
        within=LIMIT + LINGER,
    ),
]


@scenario(SLOW, "no provider is asked, and good traffic is unaffected", primary={"timeout": "4s"})
async def a_thousand_idle_connections(stage: Stage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(stage.requests * 10):
            await stack.enter_async_context(stage.gateway.client())
        stage.expect(all(sent.answered for sent in await stage.storm()), "good traffic suffered")
    stage.see(f"{stage.requests * 10} idle, {stage.requests} answered")


# Uploads

PROMPT = "x" * (20 * 2**20)


def uploading(name: str, fault: str | Fault, expected: str, *, answered: bool) -> Scenario:
    """A question of 20 MiB to a provider that does not take it."""

    async def play(stage: Stage) -> None:
        stage.ours.forget_peak()
        before = stage.ours.memory()
        sent = await stage.ask(PROMPT)
        grown = (stage.ours.peak_memory() - before) / 2**20
        stage.see(f"{sent.status}, {grown:.0f} MiB more memory")
        stage.expect(sent.answered == answered, f"{sent.status} {sent.problem} {sent.body[:150]!r}")
        stage.expect(grown <= 200, f"{grown:.0f} MiB more memory")

    return Scenario(
        name=name,
        chapter="A provider does not take an upload",
        expected=expected,
        play=play,
        fault=fault,
        primary={"timeout": "1s"},
    )


UPLOADS = [
    uploading("stops reading 20 MiB", "stop_reading", "no hang, the secondary answers", answered=True),
    uploading(
        "answers 503 in the midst of 20 MiB",
        "early_answer:503",
        "its answer is heard, the secondary answers",
        answered=True,
    ),
    uploading("answers 413 in the midst of 20 MiB", "early_answer:413", "its verdict is passed on", answered=False),
]

SCENARIOS = [*LEAVING, *DAWDLING, *scenarios_in(globals()), *UPLOADS]
