"""The engine: takes a request through the current generation. Server and library are thin over it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from proxy.clock import Clock
from proxy.config.snapshot import Snapshot
from proxy.dialects import DIALECTS
from proxy.dialects.base import Dialect
from proxy.errors import ClientError, ErrorClass, SidestepError
from proxy.messages import Reply, Request
from proxy.pipeline.build import build
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler
from proxy.record import Record
from proxy.registry import Registry
from proxy.resilience.outcome import Verdict, class_table
from proxy.routing.match import match
from proxy.transport.session import Transport


class Observer(Protocol):
    """Whoever wants to know how requests went: spans, metrics, logs, statistics."""

    def __call__(self, records: Sequence[Record]) -> None:
        """Take records that have finished; must be quick and must not fail."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One snapshot, built: its chains and class tables, by policy."""

    snapshot: Snapshot
    chains: Mapping[str, Handler[Reply]]
    tables: Mapping[str, Mapping[ErrorClass, Verdict]]


@dataclass(slots=True)
class Engine:
    """Holds the current generation; everything that lives longer (registry, pools) is handed to each new one."""

    clock: Clock
    transport: Transport = field(default_factory=Transport)
    registry: Registry = field(default_factory=Registry)
    dialects: Mapping[str, Dialect] = field(default_factory=lambda: DIALECTS)
    observers: list[Observer] = field(default_factory=list)
    generation: Generation = field(init=False)
    """The one that new requests begin with; the shells adopt one before they serve."""
    _finished: list[Record] = field(default_factory=list)
    """What the observers have not heard of yet."""

    @property
    def snapshot(self) -> Snapshot:
        """The settings that new requests begin with."""
        return self.generation.snapshot

    def adopt(self, snapshot: Snapshot) -> None:
        """Make this snapshot current. Running requests finish on the generation that they began with."""
        self.registry.adopt(snapshot)
        self.generation = self.build(snapshot)

    def build(self, snapshot: Snapshot) -> Generation:
        """Compose a generation without making it current."""
        chains = {
            name: build(
                snapshot,
                policy,
                registry=self.registry,
                transport=self.transport,
                dialects=self.dialects,
                clock=self.clock,
            )
            for name, policy in snapshot.policies.items()
        }
        tables = {name: class_table(policy.errors) for name, policy in snapshot.policies.items()}
        return Generation(snapshot, chains, tables)

    async def handle(self, request: Request, record: Record) -> Reply:
        """Answer one request, or raise the SidestepError that ends it. The caller calls `finish` when all is done."""
        generation = self.generation
        snapshot = generation.snapshot
        record.generation = snapshot.generation  # another one, if it was reloaded while the body came
        route = match(snapshot.routes, request)
        if route is None:
            raise ClientError(f"no route takes model '{request.model[:100]}' here", status=404, code="no_route")
        record.route = route.name
        policy = self.registry.overrides.policy(route, snapshot.policies[route.policy])
        call = Call(
            request=request,
            route=route,
            policy=policy,
            table=generation.tables[policy.name],
            route_state=self.registry.route(route.name),
            load=self.registry.load,
            record=record,
            model=request.model,
            attempts_left=policy.attempts,
        )
        try:
            return await generation.chains[policy.name](call)
        except SidestepError as error:
            call.end_step(self.clock.now(), error.code)
            raise
        finally:
            call.end_step(self.clock.now())

    def finish(self, record: Record) -> None:
        """The last byte is written, or nobody waits for it any more: the observers will hear of it, once.

        A moment later, together with whatever else has finished by then: what an observer does is done in a third of
        the time when it does it many times over.
        """
        if record.ended:
            return
        record.finish(self.clock.now())
        if record.error is not None:
            _forget_the_way(record.error)
        if not self._finished:
            asyncio.get_running_loop().call_soon(self.tell)
        self._finished.append(record)

    def tell(self) -> None:
        """Tell the observers now of what has finished, for whoever wants to know at once."""
        finished, self._finished = self._finished, []
        for observe in self.observers:
            observe(finished)

    async def close(self) -> None:
        """Close every connection to providers."""
        self.tell()
        await self.transport.close()


def _forget_the_way(error: SidestepError) -> None:
    """An error that is kept would keep the frames that it came through, and these the whole request, in a circle."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
