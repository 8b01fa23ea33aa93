"""Providers that are slow, flaky, overwhelmed or all gone, under a steady load."""

import asyncio
import contextlib
import socket

from lab import schedules
from lab.client import RawClient, request
from lab.comparison import compare
from lab.fault import Fault
from lab.gateway import OPERATOR_KEY
from lab.scenario import DOWN, Scenario, scenario, scenarios_in
from lab.stage import Stage
from lab.upstream import Upstream

CALM = {"primary": {"timeout": "4s"}}
OPENS_SHORTLY = {"breaker": {"failures": 3, "open_for": "300ms", "max_open_for": "300ms"}}
UNDER = "Under load"


async def _all_answered(stage: Stage, **how) -> None:
    for sent in await stage.storm(**how):
        stage.expect(sent.answered, f"{sent.nonce}: {sent.status} {sent.problem} {sent.body[:120]!r}")


@scenario(
    UNDER,
    "every request is answered by the primary; what the others are compared with",
    portable=True,
    fast=True,
    **CALM,
)
async def nothing_is_wrong(stage: Stage) -> None:
    await _all_answered(stage)
    if hasattr(stage.gateway, "admin_port"):
        stage.expect(not stage.secondary.requests, "the secondary was asked")


@scenario(UNDER, "repeats within the budget, no error", portable=True, **CALM, policy={"attempts": 4})
async def every_fifth_request_fails(stage: Stage) -> None:
    stage.primary.schedule = schedules.share("status:500", 0.2, seed=stage.seed)
    await _all_answered(stage, count=stage.requests * 3)


@scenario(
    UNDER,
    "a repeat on a new connection, unseen, and not counted against the provider",
    fault="close_idle:0",
    portable=True,
    fast=True,
    **CALM,
)
async def kept_connections_are_closed(stage: Stage) -> None:
    await _all_answered(stage, workers=8)
    await _nobody_is_blamed(stage)


@scenario(
    UNDER,
    "a repeat on a new connection, unseen, and not counted against the provider",
    fault="close_on_reuse",
    portable=True,
    **CALM,
)
async def kept_connections_are_reset_as_we_write(stage: Stage) -> None:
    await _all_answered(stage, workers=8)
    await _nobody_is_blamed(stage)


async def _nobody_is_blamed(stage: Stage) -> None:
    if hasattr(stage.gateway, "admin_port"):
        page = await stage.ours.metrics()
        bad = page.sum("sidestep_attempts_total", provider=stage.names[0]) - page.sum(
            "sidestep_attempts_total", provider=stage.names[0], **{"class": "ok"}
        )
        stage.expect(not bad, f"{bad:.0f} attempts were counted as failed")


@scenario(UNDER, "every answer comes, none is asked for twice", fault="latency:0.2", portable=True, **CALM)
async def answers_take_twenty_times_as_long(stage: Stage) -> None:
    await _all_answered(stage, workers=20)
    stage.expect(stage.history.calls_per_request == 1, f"{stage.history.calls_per_request:.2f} calls a request")


@scenario(
    UNDER,
    "what it cannot serve is served elsewhere; no error",
    portable=True,
    **CALM,
)
async def serves_ten_a_second_and_refuses_the_rest(stage: Stage) -> None:
    stage.primary.schedule = schedules.brown_out("status:503", per_second=10)
    await _all_answered(stage, pause=0.01)
    stage.see(
        f"{len(stage.primary.requests)} calls to it, {len(stage.secondary.requests)} elsewhere, no error"
        if not stage.broken
        else "errors"
    )


@scenario(
    UNDER,
    "no error, whichever second it is; its breaker changes ten times a minute at most",
    portable=True,
    **CALM,
)
async def up_for_a_second_down_for_a_second(stage: Stage) -> None:
    stage.primary.schedule = schedules.flapping("status:503", up=1.0, down=1.0)
    changes: list[str] = []
    inside = hasattr(stage.gateway, "admin_port")
    listening = asyncio.ensure_future(_breaker_changes(stage, changes)) if inside else None
    await _all_answered(stage, count=stage.requests * 2, workers=4, pause=4 / stage.requests)
    if listening is not None:
        listening.cancel()
        await asyncio.wait([listening])
        stage.expect(len(changes) <= 10, f"{len(changes)} changes: {changes}")
        stage.see(f"{len(stage.history.sent)} answered, {len(changes)} changes of its breaker")


async def _breaker_changes(stage: Stage, changes: list[str]) -> None:
    """Note what the operator's events tell of the breakers of this scenario, until cancelled."""
    async with RawClient(stage.ours.admin_port) as client:
        await client.send(request("GET", "/admin/events", headers={"Authorization": f"Bearer {OPERATOR_KEY}"}))
        response, told = await client.head(), b""
        async for piece in client.pieces(response):
            *events, told = (told + piece).split(b"\n\n")
            changes += [each.decode() for each in events if each.startswith(b"event: breaker")]


@scenario(UNDER, "503 at once, the soonest recovery told, hardly any call made", fault=DOWN, second=DOWN, fast=True)
async def every_provider_is_down(stage: Stage) -> None:
    await stage.storm(12)
    late = await stage.storm()
    stage.expect(all(sent.status in (502, 503) for sent in late), f"{sorted({str(sent.status) for sent in late})}")
    refused = [sent for sent in late if sent.status == 503]
    stage.expect(refused and all(sent.headers.get("retry-after") for sent in refused), "no Retry-After")
    slowest = max((sent.took for sent in refused), default=0.0)
    stage.expect(not stage.history.timed or slowest <= 0.05, f"a 503 took {slowest * 1000:.0f} ms")
    page = await stage.ours.metrics()
    calls = sum(page.sum("sidestep_attempts_total", provider=name) for name in stage.names)
    stage.see(
        f"{len(refused)} times 503 within {slowest * 1000:.0f} ms, {calls:.0f} calls for {len(late) + 12} requests"
    )
    stage.expect(calls <= 1.2 * (len(late) + 12), f"{calls:.0f} calls")


@scenario(UNDER, "502 that names every attempt, within the cap", fault="status:500", second="status:500")
async def every_provider_fails(stage: Stage) -> None:
    sent = await stage.ask()
    stage.expect(sent.status == 502, str(sent.status))
    named = {each["provider"] for each in sent.error["sidestep"]["attempts"]}
    stage.expect(named == set(stage.names), f"{named} are named")


@scenario(
    UNDER,
    "504 at the total deadline, never later",
    fault="hang",
    second="hang",
    policy={"timeouts": {"connect": "300ms", "first_output": "400ms", "total": "600ms"}},
)
async def every_provider_hangs(stage: Stage) -> None:
    sent = await stage.ask()
    stage.expect(sent.status in (502, 504), str(sent.status))
    stage.expect(sent.took <= 0.6 + stage.history.slack, f"after {sent.took:.2f} s")


@scenario(
    UNDER,
    "its traffic comes back along the ramp; no error meanwhile",
    fault="status:503",
    policy=OPENS_SHORTLY | {"recovery": {"ramp": "1s"}},
    **CALM,
    fast=True,
)
async def a_provider_comes_back(stage: Stage) -> None:
    await _all_answered(stage)
    stage.primary.fault = "ok"

    async def back() -> bool:
        recent = [await stage.ask() for _ in range(3)]
        return all(sent.text.startswith("primary:") for sent in recent)

    await stage.eventually(back, "it got no traffic back", within=8)
    stage.expect(all(sent.answered for sent in stage.history.sent), "an error on the way back")


OPEN_COST = 2.0
"""Milliseconds that a provider whose breaker is open may cost, at the 99th percentile."""
MET_COST = 10.0
"""Milliseconds that meeting a provider which fails at once may cost, at the 99th percentile."""
FORGIVING = {kind: {"breaker": False} for kind in ("connect", "broken", "server_error")}


async def _compared(stage: Stage, limit: float) -> None:
    """Ask the secondary for an answer of its own and the primary for one that the secondary must give, in turns."""
    aside = {"x-sidestep-provider": stage.names[1]}
    async with stage.gateway.client() as client:
        await compare(
            stage,
            lambda stream: stage.ask(stream=stream, client=client, headers=aside),
            lambda stream: stage.ask(stream=stream, client=client),
            limit=limit,
        )
    answered = [sent.text for sent in stage.history.sent if sent.answered]
    stage.expect(all(text.startswith("secondary:") for text in answered), "somebody else answered")


@scenario(UNDER, "once its breaker is open it costs at most 2 ms at the 99th percentile", fault=DOWN)
async def a_dead_provider_whose_breaker_is_open(stage: Stage) -> None:
    await _all_answered(stage, count=20)
    stage.expect(await stage.breaker() == "open", "its breaker is not open")
    await _compared(stage, OPEN_COST)


def met(name: str, fault: str) -> Scenario:
    """A provider that every request meets, because no breaker opens."""

    async def play(stage: Stage) -> None:
        await _compared(stage, MET_COST)
        stage.expect(await stage.breaker() == "closed", "its breaker is open")

    return Scenario(
        name=f"every request meets a provider that {name}",
        chapter=UNDER,
        expected="failing over costs at most 10 ms at the 99th percentile",
        fault=fault,
        play=play,
        policy={"errors": FORGIVING},
    )


MET = [
    met("refuses connections", DOWN),
    met("resets connections", "reset_on_connect"),
    met("resets after the request", "reset"),
    met("closes within its headers", "close_in_headers"),
    met("answers 500", "status:500"),
]


@scenario(
    UNDER,
    "its traffic comes back by and by: no error, and it is not overrun a second time",
    fault="status:503",
    policy=OPENS_SHORTLY | {"recovery": {"ramp": "2s"}},
    **CALM,
)
async def a_provider_comes_back_with_half_its_strength(stage: Stage) -> None:
    await _all_answered(stage, count=20)
    stage.primary.schedule = schedules.brown_out("status:503", per_second=50)
    stage.primary.fault = "ok"
    before = len(stage.primary.requests)
    await _all_answered(stage, count=stage.requests * 3, workers=4, pause=0.04)
    back = stage.primary.requests[before:]
    overrun = sum(asked.fault == "status" for asked in back)
    stage.see(f"{len(back)} calls to it, {overrun} too many, no error" if not stage.broken else "errors")
    stage.expect(back, "it got no traffic back")
    stage.expect(overrun <= len(back) // 2, f"{overrun} of {len(back)} calls were more than it could take")


@scenario(
    "A provider fails before its first output", "`connect` ends it; after the breaker opens nobody waits", fast=True
)
async def swallows_the_first_packet(stage: Stage) -> None:
    await stage.primary.go_down()
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", stage.primary.port))
        hole.listen(0)
        for _ in range(3):  # a full backlog: the kernel drops every further SYN
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", stage.primary.port))
        await asyncio.sleep(0.05)
        await _all_answered(stage)
        last = stage.history.sent[-4:]
        stage.see(
            f"{len(stage.history.sent)} answered, the last within {max(sent.took for sent in last) * 1000:.0f} ms"
        )


@scenario("A provider fails before its first output", "never followed: no key goes elsewhere", portable=False)
async def redirects_to_somebody_else(stage: Stage) -> None:
    async with Upstream("trap") as trap:
        stage.primary.fault = Fault(name="redirect", arg=f"{trap.url}/v1/chat/completions")
        await _all_answered(stage)
        stage.expect(not trap.connections, "the redirect was followed")


@scenario("A provider fails before its first output", "scrubbed: the key is in nothing that anybody is told", fast=True)
async def quotes_the_key_that_it_was_sent(stage: Stage) -> None:
    for code in (400, 401, 404, 429, 500, 200):
        key = "canary-primary-03bd52"
        told = {"error": {"message": f"bad key {key}", "type": key, "param": key, "code": key}}
        stage.primary.fault = Fault(name="status", arg=str(code), body=told, headers={"X-Key": key, "Set-Cookie": key})
        for stream in (False, True):
            await stage.ask(stream=stream, headers={"x-sidestep-provider": stage.names[0]})


SCENARIOS = [*scenarios_in(globals()), *MET]
