"""The operations behind `/admin/`, over all workers: every change goes to each, every answer is all theirs merged."""

from collections.abc import Callable
from typing import Any

from proxy.clock import Clock
from proxy.config.effective import effective
from proxy.config.snapshot import Snapshot
from proxy.reload import Reloader
from proxy.server.admin.journal import REMEMBERED, Journal
from proxy.server.admin.management import RefusedReloadError, problem_document, result_document, strategy_of
from proxy.server.admin.operations import Document, Page
from proxy.telemetry import merging
from proxy.telemetry.metrics import Metrics
from proxy.workers import merge
from proxy.workers.crew import Crew
from proxy.workers.ledger import Ledger
from proxy.workers.member import PATIENCE, Member


class CrewManagement:
    """What `Management` is to one process; and what `Metrics` is, for `/metrics`."""

    def __init__(
        self,
        crew: Crew,
        journal: Journal,
        metrics: Metrics,
        clock: Clock,
        *,
        snapshot: Callable[[], Snapshot],
        reloader: Reloader,
    ) -> None:
        self.journal = journal
        self._crew = crew
        self._metrics = metrics
        """The parent's own: its process, and the reloads."""
        self._clock = clock
        self._snapshot = snapshot
        self._reloader = reloader
        self._started = clock.now()
        self._counted: Ledger[Document] = Ledger(merge.statistics)
        self._measured: Ledger[list[merging.Family]] = Ledger(lambda told: merging.lasting(merging.merged(told)))

    async def status(self) -> Document:
        """Everything that is known; `workers` tells them apart."""
        found = await self._crew.ask("status")
        documents = list(found.values())
        generation = self._snapshot().generation
        last = self._reloader.last
        stale = any(each["generation"] != generation for each in documents)
        return {
            "uptime": self._clock.now() - self._started,
            "reload": {
                "ok": not (last and last.problems) and not stale,
                "problems": [problem_document(each) for each in last.problems] if last else [],
            },
            "generation": generation,
            "statistics": self._count({member: each["statistics"] for member, each in found.items()}),
            **merge.status(documents),
            "workers": [_worker(member, each) for member, each in found.items()],
            "worker_restarts": self._crew.restarts,
        }

    async def statistics(self) -> Document:
        """The counts."""
        return self._count(await self._crew.ask("statistics"))

    async def reset_statistics(self) -> Document:
        """Count from 0."""
        found = await self._crew.ask("reset_statistics")
        self._counted.forget()
        return self._count(found)

    def config(self) -> Document:
        """Every setting in force, for the sidecar as a whole, and where it was written."""
        return effective(self._snapshot())

    async def requests(self) -> Document:
        """The last requests of all workers, the newest first."""
        return merge.requests(list((await self._crew.ask("requests")).values()), REMEMBERED)

    async def enable(self, name: str, *, enabled: bool) -> Document:
        """Let a provider be asked, or not."""
        provider = self._snapshot().providers.get(name)
        if provider is not None:
            self._crew.overrides.enable(provider, enabled=enabled)
        found = await self._crew.ask("enable", name=name, enabled=enabled)
        self.journal.tell("override", {"provider": name, "enabled": enabled})
        return merge.provider(list(found.values()))

    async def check(self, name: str) -> Document:
        """Let every worker ask a provider now whether it is well, and wait for what it says."""
        return merge.checks(list((await self._crew.ask("check", patience=PATIENCE, name=name)).values()))

    async def choose_strategy(self, name: str, document: Document) -> Document:
        """Give a route another strategy: `{"strategy": NAME}`."""
        chosen = strategy_of(document)
        snapshot = self._snapshot()
        for route in snapshot.routes:
            if route.name == name:
                self._crew.overrides.choose(route, snapshot.policies[route.policy], chosen)
        found = await self._crew.ask("choose_strategy", name=name, document=document)
        self.journal.tell("override", {"route": name, "strategy": chosen.value})
        return merge.route(list(found.values()))

    async def reset_overrides(self) -> Document:
        """Go back to what the files say."""
        self._crew.overrides.reset()
        await self._crew.ask("reset_overrides")
        self.journal.tell("override", {"reset": True})
        return await self.status()

    async def reload(self) -> Document:
        """Read the files now, and let every worker follow them. Raises RefusedReloadError."""
        result = await self._reloader.reload()
        await self._crew.settled()
        if result.problems:
            raise RefusedReloadError(result.problems)
        return result_document(result)

    async def render(self, accept: str = "") -> Page:
        """The page of /metrics: of all workers and the parent."""
        found = await self._crew.ask("metrics")
        told = self._measured.take({member.pid: each for member, each in found.items()}, self._crew.living)
        return merging.render(merging.merged([merging.samples(self._metrics), *told]), accept)

    def _count(self, found: dict[Member, Document]) -> Document:
        told = self._counted.take({member.pid: each for member, each in found.items()}, self._crew.living)
        return merge.statistics(told)


def _worker(member: Member, document: Document) -> dict[str, Any]:
    """What tells one worker from the others."""
    return {
        "worker": member.number,
        "pid": member.pid,
        "uptime": document["uptime"],
        "generation": document["generation"],
        "in_flight": document["in_flight"],
        "total_requests": document["statistics"]["total_requests"],
        "breakers": {name: each["circuit_breaker"]["state"] for name, each in document["providers"].items()},
    }
