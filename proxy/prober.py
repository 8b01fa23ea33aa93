"""Asks providers that nobody is asking anything whether they are alive, so that it is known before a request needs it.

A task per endpoint sleeps until its next check is due; the first one falls anywhere within the first interval, so that
many sidecars that start together do not ask together. A check uses the connections, the key and the limits of traffic.
What it finds goes into the endpoint's `Health`; no breaker is touched, and a cool-down only ends when it was for a
refused key that is good again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from proxy.config.secrets import Secret, scrub
from proxy.config.snapshot import Expectation, Provider, Snapshot
from proxy.dialects.check import Check, check_of, judge_check
from proxy.engine import Engine
from proxy.errors import ErrorClass, Failure
from proxy.registry import Identity, ProviderState, Registry, identity
from proxy.resilience.health import Status, conclusive, pause
from proxy.resilience.retry_after import retry_after
from proxy.transport.session import AttemptError, LateError

logger = logging.getLogger("sidestep.health")

AT_ONCE = 4
"""Checks under way at the same time, over all providers."""
LONGEST = 8 * 1024 * 1024
"""Bytes of an answer that are read; the largest lists of models have about one million."""
LONGEST_WAIT = 3600.0
"""Seconds of `Retry-After` that are believed of an answer to a check."""


class Finding(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    """The provider answered, but not to the question; its health stays as it was."""
    SKIPPED = "skipped"
    """Nothing was asked; `error` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check of one endpoint found."""

    provider: str
    endpoint: str
    """The URL of the configuration that was checked on."""
    finding: Finding
    health: Status
    """The endpoint's health after it."""
    seconds: float = 0.0
    error: str = ""
    retry_after: float | None = None
    """Seconds for which the provider wants no further check."""


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint of a provider."""

    provider: Provider
    capability: str
    """One of those that it serves; `chat` when it does."""
    state: ProviderState


class Prober:
    """The health checks of one process. `start` in a running loop, `adopt` after a reload, `close` at the end."""

    def __init__(self, engine: Engine, counted: Callable[[str, str], None]) -> None:
        self._engine = engine
        self._counted = counted
        """Told the provider and the finding of every check that was made."""
        self._places = asyncio.Semaphore(AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to check every endpoint whose interval is not 0."""
        self.adopt()

    def adopt(self) -> None:
        """Go by the current generation from now on. What is known stays, and so does the time of the next check."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._watch_all(), name="health checks")
        self._task.add_done_callback(_report)

    async def close(self) -> None:
        """Stop; a check under way is dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def check(self, name: str) -> list[CheckResult]:
        """Check every endpoint of a provider now, enabled or not. Raises KeyError when there is none of that name."""
        snapshot = self._engine.generation.snapshot
        provider = snapshot.providers[name]
        endpoints = targets([provider], self._engine.registry)
        return await asyncio.gather(*(self._check(target) for target in endpoints))

    async def _watch_all(self) -> None:
        snapshot = self._engine.generation.snapshot
        async with asyncio.TaskGroup() as group:
            for target in targets(snapshot.providers.values(), self._engine.registry):
                if target.provider.health.interval and target.provider.configured:
                    group.create_task(self._watch(target))
                else:
                    target.state.health.next_check = None

    async def _watch(self, target: Target) -> None:
        """Check one endpoint for ever."""
        clock, health, settings = self._engine.clock, target.state.health, target.provider.health
        wait = health.next_check_in(clock.now())
        if wait is None or wait > settings.interval:
            wait = settings.interval * clock.draw()
        while True:
            health.next_check = clock.now() + wait
            await clock.sleep(wait)
            told = None
            if self._engine.registry.overrides.allows(target.provider):
                told = (await self._check(target)).retry_after
            wait = max(told or 0.0, pause(health, settings, clock.draw()))

    async def _check(self, target: Target) -> CheckResult:
        """Make one check and learn from it, unless something speaks against asking now."""
        async with self._places:
            check = self._question(target)
            if isinstance(check, CheckResult):
                return check
            started = self._engine.clock.now()
            return self._learn(target, check, await self._ask(target.provider, check), started)

    def _question(self, target: Target) -> Check | CheckResult:
        """Write the check, or say why there is none."""
        provider, state, now = target.provider, target.state, self._engine.clock.now()
        skipped = CheckResult(
            provider=provider.name,
            endpoint=provider.endpoint(target.capability),
            finding=Finding.SKIPPED,
            health=state.health.status,
        )
        if not provider.configured:
            return replace(skipped, error="it lacks the key that it needs")
        if (left := told_to_wait(state, now)) > 0:
            return replace(skipped, error=f"it asked to be left alone for {left:.0f} s more", retry_after=left)
        check = check_of(self._engine.dialects[provider.dialect], provider, target.capability)
        if check is None or isinstance(check, Failure):
            return replace(skipped, error="there is nothing to ask it" if check is None else check.message)
        rate = provider.rate_limit.get("chat") if check.request else None
        if rate is not None and not state.limiter("chat").take(now, rate):
            return replace(skipped, error="its rate limit is used up")
        return check

    async def _ask(self, provider: Provider, check: Check) -> Failure | None:
        """Send it and judge the answer, all within the check's timeout."""
        limit = provider.health.timeout
        try:
            until = self._engine.clock.now() + limit
            upstream = await self._engine.transport.send(check.wire, connect=limit, until=until, tls=provider.tls)
            try:
                body = await upstream.read_all(LONGEST)
            finally:
                upstream.close()
        except LateError:
            return Failure(error_class=ErrorClass.TIMEOUT, message=f"no answer to a check within {limit:g} s")
        except AttemptError as error:
            return error.failure
        failure = judge_check(self._engine.dialects[provider.dialect], provider, check, upstream.head, body)
        if failure is None:
            return None
        told = retry_after(upstream.head.headers, self._engine.clock.wall(), limit=LONGEST_WAIT)
        return replace(failure, retry_after=failure.retry_after if told is None else told)

    def _learn(self, target: Target, check: Check, failure: Failure | None, started: float) -> CheckResult:
        """Let the state follow from what was found; only a change of it is worth a line in the log."""
        provider, state, clock = target.provider, target.state, self._engine.clock
        health, now, before = state.health, clock.now(), state.health.status
        health.note_check(clock.wall(), now - started)
        error = scrub(failure.message, _secrets(self._engine.generation.snapshot)) if failure else ""
        finding = _finding(failure, provider)
        if finding is Finding.OK:
            health.succeed(provider.health, now)
            if check.proves_key and state.cool_down.reason == ErrorClass.AUTH:
                state.cool_down.clear()
        elif finding is Finding.FAILED:
            health.fail(provider.health, error, check=True)
        if health.status is not before:
            level = logging.WARNING if health.status is Status.UNHEALTHY else logging.INFO
            place = {"provider": provider.name, "endpoint": provider.endpoint(target.capability)}
            change = {"before": before.value, "after": health.status.value, "error": error}
            logger.log(level, "a provider's health changed", extra=place | change)
        self._counted(provider.name, finding.value)
        return CheckResult(
            provider=provider.name,
            endpoint=provider.endpoint(target.capability),
            finding=finding,
            health=health.status,
            seconds=now - started,
            error=error,
            retry_after=failure.retry_after if failure else None,
        )


def targets(providers: Iterable[Provider], registry: Registry) -> list[Target]:
    """Every endpoint once, whatever it serves."""
    found: dict[Identity, Target] = {}
    for provider in providers:
        for capability in sorted(provider.supports - {"tools"}, key=lambda name: (name != "chat", name)):
            state = registry.provider(provider, capability)
            found.setdefault(identity(provider, capability), Target(provider, capability, state))
    return list(found.values())


def told_to_wait(state: ProviderState, now: float) -> float:
    """Return seconds for which the provider wants to be left alone; a refused key is no such wish."""
    return 0.0 if state.cool_down.reason == ErrorClass.AUTH else state.cool_down.remaining(now)


def _finding(failure: Failure | None, provider: Provider) -> Finding:
    if failure is None:
        return Finding.OK
    configured = bool(provider.health.path) or provider.health.expect != Expectation()
    return Finding.FAILED if conclusive(failure, configured=configured) else Finding.INCONCLUSIVE


def _secrets(snapshot: Snapshot) -> list[Secret]:
    return [provider.api_key for provider in snapshot.providers.values() if provider.api_key]


def _report(task: asyncio.Task[None]) -> None:
    """A mistake of ours must not end the checks in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("health checks have ended", exc_info=error)
