"""What the operator can see and change, as JSON documents; who may ask and how it is written is the listener's.

Every change answers with the new state, and is told to those who listen. Unknown names are ClientErrors 404.
"""

from collections.abc import Awaitable, Callable, Sequence

from proxy.clock import Clock
from proxy.config.effective import effective
from proxy.config.snapshot import Provider, Route, Snapshot, StrategyName
from proxy.engine import Engine
from proxy.errors import ClientError, Problem
from proxy.prober import CheckResult
from proxy.reload import Reloader, Result
from proxy.server.admin.journal import Journal
from proxy.server.admin.operations import Document
from proxy.statistics import Statistics
from proxy.status import Moment, provider_status, route_status, statistics_document, status_document


class RefusedReloadError(ClientError):
    """The files are not good; the generation before serves on."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        message = f"the files hold {len(problems)} problem(s); the configuration before serves on"
        super().__init__(message, status=422, code="invalid_configuration")
        self.problems = problems


class Management:
    """The operations behind `/admin/`."""

    def __init__(
        self,
        engine: Engine,
        statistics: Statistics,
        journal: Journal,
        clock: Clock,
        *,
        reloader: Reloader | None,
        check: Callable[[str], Awaitable[Sequence[CheckResult]]],
    ) -> None:
        self.journal = journal
        self._engine = engine
        self._statistics = statistics
        self._clock = clock
        self._reloader = reloader
        self._check = check
        self._started = clock.now()

    def status(self) -> Document:
        """Everything that is known."""
        document = status_document(self._engine.registry, self._snapshot, self._statistics, self._moment())
        last = self._reloader.last if self._reloader else None
        return {
            "uptime": self._clock.now() - self._started,
            "reload": {
                "ok": not (last and last.problems),
                "problems": [problem_document(each) for each in last.problems] if last else [],
            },
            **document,
        }

    def statistics(self) -> Document:
        """The counts."""
        return statistics_document(self._statistics, self._snapshot)

    def reset_statistics(self) -> Document:
        """Count from 0."""
        self._statistics.reset(self._clock.wall())
        return self.statistics()

    def config(self) -> Document:
        """Every setting in force, and where it was written."""
        return effective(self._snapshot)

    def requests(self) -> Document:
        """The last requests, the newest first."""
        return {"requests": self.journal.requests()}

    def enable(self, name: str, *, enabled: bool) -> Document:
        """Let a provider be asked, or not."""
        provider = self._provider(name)
        self._engine.registry.overrides.enable(provider, enabled=enabled)
        self.journal.tell("override", {"provider": name, "enabled": enabled})
        return self._provider_document(provider)

    async def check(self, name: str) -> Document:
        """Ask a provider now whether it is well, and wait for what it says."""
        provider = self._provider(name)
        checks = [
            {
                "endpoint": found.endpoint,
                "finding": found.finding.value,
                "health": found.health.value,
                "seconds": found.seconds,
                "error": found.error or None,
            }
            for found in await self._check(name)
        ]
        return {**self._provider_document(provider), "checks": checks}

    def choose_strategy(self, name: str, document: Document) -> Document:
        """Give a route another strategy: `{"strategy": NAME}`."""
        route = self._route(name)
        chosen = strategy_of(document)
        policy = self._snapshot.policies[route.policy]
        self._engine.registry.overrides.choose(route, policy, chosen)
        self.journal.tell("override", {"route": name, "strategy": chosen.value})
        return {
            "route": name,
            **route_status(route, self._engine.registry, self._snapshot, self._moment()),
        }

    def reset_overrides(self) -> Document:
        """Go back to what the files say."""
        self._engine.registry.overrides.reset()
        self.journal.tell("override", {"reset": True})
        return self.status()

    async def reload(self) -> Document:
        """Read the files now. Raises RefusedReloadError, and ClientError 409 when there are no files."""
        if self._reloader is None:
            message = "this configuration did not come from files that could be read again"
            raise ClientError(message, status=409, code="no_files")
        result = await self._reloader.reload()
        if result.problems:
            raise RefusedReloadError(result.problems)
        return result_document(result)

    @property
    def _snapshot(self) -> Snapshot:
        return self._engine.generation.snapshot

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._clock.wall())

    def _provider(self, name: str) -> Provider:
        provider = self._snapshot.providers.get(name)
        if provider is None:
            raise ClientError("there is no provider of that name", status=404, code="unknown_provider")
        return provider

    def _route(self, name: str) -> Route:
        for route in self._snapshot.routes:
            if route.name == name:
                return route
        raise ClientError("there is no route of that name", status=404, code="unknown_route")

    def _provider_document(self, provider: Provider) -> Document:
        return {
            "provider": provider.name,
            **provider_status(provider, self._engine.registry, self._statistics, self._moment()),
        }


def strategy_of(document: Document) -> StrategyName:
    """Read `{"strategy": NAME}`. Raises ClientError 400."""
    wanted = document.get("strategy")
    names = [each.value for each in StrategyName]
    if set(document) != {"strategy"} or wanted not in names:
        message = f'the body must be {{"strategy": NAME}} with one of {", ".join(names)}'
        raise ClientError(message, param="strategy")
    return StrategyName(wanted)


def result_document(result: Result) -> Document:
    """What a good reload changed: names only, no values."""
    change = result.changed
    return {
        "generation": result.generation,
        "added": list(change.added) if change else [],
        "removed": list(change.removed) if change else [],
        "changed": list(change.changed) if change else [],
        "needs_restart": list(change.needs_restart) if change else [],
    }


def problem_document(problem: Problem) -> Document:
    """One thing wrong with the files."""
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
