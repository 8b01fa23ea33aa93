"""Plays one scenario: fresh upstreams, a fresh generation of the gateway, then every invariant over what happened."""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import http1
from lab.configuration import provider, routes
from lab.gateway import CANARIES, COOKIE, PRIMARY_KEY, SECONDARY_KEY, SERVER, Gateway, Page, Sidestep, lines_of
from lab.history import History, Inside, Sent
from lab.invariants import violations
from lab.scenario import DOWN, Scenario
from lab.stage import Stage
from lab.tls import Authority
from lab.upstream import Upstream

ATTEMPTS = 4
DEADLINE = 6.0
IDLE = 0.5
NOT_JUDGED = "not judged: the target does not ask its first provider any more"
RECOVERY = 20.0
"""Seconds that a foreign gateway gets to forget a scenario."""
FIRST_OUTPUT = 0.3
"""Seconds that the primary gets for its first output; the secondary gets a busy machine's patience."""
POLICY: Mapping[str, Any] = {
    "attempts": ATTEMPTS,
    "timeouts": {"connect": "300ms", "first_output": "4s", "idle": f"{IDLE:g}s", "total": f"{DEADLINE:g}s"},
    "retry": {"backoff": {"base": "5ms", "max": "20ms"}},
    "recovery": {"ramp": "0s"},
}


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of one scenario."""

    scenario: Scenario
    seen: str
    broken: list[str]
    seconds: float
    seed: int = 0
    """What it was played with: the same one draws the same again."""
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything that was promised held."""
        return not self.broken

    @property
    def judged(self) -> bool:
        """Whether it could be played at all."""
        return NOT_JUDGED not in self.broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How scenarios are played."""

    requests: int = 100
    seed: int = 0
    timed: bool = True
    """Whether milliseconds are judged; not on a machine that does other things meanwhile."""
    ports: tuple[int, int] = (0, 0)
    """Where the upstreams listen; 0 is any."""


async def play(scenario: Scenario, gateway: Gateway, options: Options) -> Result:
    """Set the scene, play, wait until it is quiet, judge."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder)) if scenario.certificate else None
        tls = getattr(authority, scenario.certificate)() if authority else None
        flavour = "pollinations" if scenario.images else "openai"
        lying = {"cookie": COOKIE, "obey_models": False}
        async with (
            Upstream("primary", port=options.ports[0], flavour=flavour, tls=tls, **lying) as primary,
            Upstream("secondary", port=options.ports[1], **lying) as secondary,
        ):
            stage = _stage(scenario, gateway, options, primary, secondary, Path(folder))
            broken = await _play(scenario, stage)
    figures = stage.figures | _figures(stage.history)
    seen = "; ".join(stage.seen) or _summary(stage.history)
    seconds = time.monotonic() - begun
    return Result(scenario=scenario, seen=seen, broken=broken, seconds=seconds, seed=options.seed, figures=figures)


def configuration(
    scenario: Scenario, stage: Stage, telemetry: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe the two upstreams as the scenario wants them: routes and policy."""
    defaults = {"api_key": PRIMARY_KEY, "timeout": f"{FIRST_OUTPUT * 1000:g}ms"}
    if scenario.certificate:
        defaults["tls"] = {"ca_file": str(stage.folder / "authority.pem")}
    first = provider(stage.primary, **defaults | dict(scenario.primary))
    second = provider(stage.secondary, **{"api_key": SECONDARY_KEY} | dict(scenario.secondary))
    paths = ("/v1/chat/completions", *(("/v1/images/generations",) if scenario.images else ()))
    pair = dict(zip(stage.names, (first, second), strict=True))
    return routes(pair, *paths, server=SERVER, telemetry=dict(telemetry)), {**POLICY, **scenario.policy}


def _stage(
    scenario: Scenario, gateway: Gateway, options: Options, primary: Upstream, secondary: Upstream, folder: Path
) -> Stage:
    number = next(gateway.serial)
    history = History(
        upstreams=(primary, secondary),
        attempts=scenario.policy.get("attempts", ATTEMPTS),
        deadline=DEADLINE,
        slack=0.25 if options.timed else 5.0,
        timed=options.timed,
        canaries=CANARIES if isinstance(gateway, Sidestep) else (COOKIE,),
    )
    return Stage(
        gateway=gateway,
        primary=primary,
        secondary=secondary,
        history=history,
        folder=folder,
        names=(f"a{number}", f"b{number}"),
        requests=options.requests,
        seed=options.seed,
    )


async def _play(scenario: Scenario, stage: Stage) -> list[str]:
    gateway = stage.gateway
    inside = isinstance(gateway, Sidestep) and not scenario.alone
    if inside:
        await stage.ours.configure(*configuration(scenario, stage, telemetry(stage.ours)))
        quiet = len(stage.ours.stdout)
        await _warm(stage)
        await stage.eventually(lambda: _logged(stage.ours, quiet, 2), "two requests were not logged")
        before, marks = await stage.ours.metrics(), _marks(stage.ours)
    elif not scenario.alone and not await _recovered(stage):
        return [NOT_JUDGED]
    start = time.monotonic()
    for upstream, fault in ((stage.primary, scenario.fault), (stage.secondary, scenario.second)):
        if fault is DOWN:
            await upstream.go_down()
        else:
            upstream.fault = fault
    try:
        await scenario.play(stage)
    except (AssertionError, LookupError, ValueError, TimeoutError, OSError, http1.IncompleteMessage) as error:
        stage.broken.append(f"{type(error).__name__}: {error}"[:300])
    end = time.monotonic()
    if inside:
        await _settle(stage, marks)
        stage.history.inside = await _inside(stage, before, marks, start, end)
    else:
        await asyncio.sleep(0 if scenario.alone else 0.1)
    return stage.broken + violations(stage.history)


@dataclass(slots=True)
class _Marks:
    stdout: int
    stderr: int
    spans: int
    descriptors: int
    memory: int


def telemetry(gateway: Sidestep) -> dict[str, Any]:
    """Describe the collector, when there is one."""
    if gateway.collector is None:
        return {"traces": {"exporter": "none"}}
    return {"traces": {"endpoint": gateway.collector.endpoint, "protocol": "http"}}


async def _recovered(stage: Stage) -> bool:
    """Wait until a foreign gateway has forgotten the scenario before: its first provider answers again."""
    until = time.monotonic() + RECOVERY
    answers = 0
    while answers < 3 and time.monotonic() < until:
        answers = answers + 1 if (await stage.ask("again")).body.count(b"primary:") else 0
        await asyncio.sleep(0 if answers else 0.2)
    stage.history.sent.clear()
    for upstream in (stage.primary, stage.secondary):
        upstream.requests.clear()
    return answers == 3


async def _warm(stage: Stage) -> None:
    """Ask each provider once, so that what is made on first use is no leak; then forget that it happened."""
    for name in stage.names:
        await stage.ask("warm", headers={"x-sidestep-provider": name})
    stage.history.sent.clear()
    for upstream in (stage.primary, stage.secondary):
        upstream.requests.clear()


async def _logged(gateway: Sidestep, since: int, count: int) -> bool:
    """Whether that many requests are in the log since then: its writer is in no hurry."""
    return sum(line["message"] == "request" for line in lines_of(gateway.stdout[since:])) >= count


def _marks(gateway: Sidestep) -> _Marks:
    gateway.forget_peak()
    spans = len(gateway.collector.spans) if gateway.collector else 0
    return _Marks(len(gateway.stdout), len(gateway.stderr), spans, gateway.descriptors(), gateway.memory())


async def _settle(stage: Stage, marks: _Marks) -> None:
    """I6: wait until everything is over, for two seconds at most; what is left then is left over."""
    until = time.monotonic() + (2.0 if stage.history.timed else 6.0)
    while stage.ours.alive:
        left = await _left(stage, marks)
        if not left and not stage.history.uncounted:
            await stage.eventually(lambda: _logged(stage.ours, marks.stdout, len(stage.history.sent)), "not logged")
        if not left or time.monotonic() > until:
            stage.history.left_over = left
            return
        await asyncio.sleep(0.03)


async def _left(stage: Stage, marks: _Marks) -> list[str]:
    page = await stage.ours.metrics()
    gauges = ("sidestep_requests_in_flight", "sidestep_provider_in_flight")
    left = [f"{name} {page.sum(name):.0f}" for name in gauges if page.sum(name)]
    upstreams = (stage.primary, stage.secondary)
    abandoned = [
        f"{sum(each.busy for each in up.connections if each.closed is None)} calls at {up.name}"
        for up in upstreams
        if any(each.busy for each in up.connections if each.closed is None)
    ]
    idle = sum(upstream.open_connections for upstream in upstreams)
    descriptors = stage.ours.descriptors()
    allowed = marks.descriptors + idle + 1  # the exporter's own connection comes and goes
    return left + abandoned + ([f"{descriptors} descriptors of {allowed}"] if descriptors > allowed else [])


async def _inside(stage: Stage, before: Page, marks: _Marks, start: float, end: float) -> Inside:
    gateway = stage.ours
    stage.figures["memory"] = (gateway.peak_memory() - marks.memory) / 2**20 if gateway.alive else 0.0
    if gateway.collector is not None:
        await asyncio.sleep(0.15)  # the exporter's own rhythm
    pages = [
        (await gateway.operator(path)).body.decode("utf-8", "replace") for path in ("/admin/status", "/admin/config")
    ]
    stdout = gateway.stdout[marks.stdout :]
    return Inside(
        before=before,
        after=await gateway.metrics(),
        lines=lines_of(stdout),
        stdout=stdout,
        stderr=gateway.stderr[marks.stderr :],
        spans=gateway.collector.spans[marks.spans :] if gateway.collector else [],
        alive=gateway.alive,
        pulse=gateway.pulse_between(start, end),
        documents="".join(pages),
    )


def _figures(history: History) -> dict[str, float]:
    """Errors seen by clients, latencies, upstream calls a request."""
    took = sorted(sent.took for sent in history.sent if sent.answered)
    figures = {"requests": float(len(history.sent)), "errors": float(sum(sent.failed for sent in history.sent))}
    if history.sent:
        figures["calls"] = history.calls_per_request
    if took:
        figures |= {"p50": took[len(took) // 2] * 1000, "p99": took[min(len(took) - 1, int(len(took) * 0.99))] * 1000}
    if (inside := history.inside) is not None and inside.pulse:
        figures["pulse"] = max(inside.pulse) * 1000
    return figures


def _summary(history: History) -> str:
    """Say what the clients saw."""

    def word(sent: Sent) -> str:
        if sent.left:
            return "left"
        if sent.answered:
            return "answered"
        return f"{sent.status}, then an error" if sent.status == 200 else str(sent.status or "nothing")

    words = [word(sent) for sent in history.sent]
    return ", ".join(f"{words.count(each)} {each}" for each in dict.fromkeys(words)) or "nobody asked"
