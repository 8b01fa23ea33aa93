"""Prometheus metrics: counters and histograms made from finished records, and gauges read at every scrape.

Labels are bounded: routes and providers come from the configuration, everything else from an enumeration; nothing
that a client writes becomes a label. Every name is documented in docs/telemetry.md, and a test compares the two.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from proxy.record import Attempt, Record
from proxy.telemetry.counting import Counts, Spread, Spreads
from proxy.telemetry.facts import duration, maybe_billed, overhead
from proxy.telemetry.gauges import Reading, StateCollector

DURATIONS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
"""Seconds: from a cached image to the longest answer that the default total deadline allows."""
OVERHEADS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0)
"""Seconds that a proxy may take; most requests should lie below the fourth bound."""
STATUS_CLASSES = {status: f"{status // 100}xx" for status in range(100, 600)}
"""A request whose client left before it was told anything has no status: `none`."""
WAITING = 256
"""Requests whose times are counted at once."""
UNROUTED = "none"
"""The route of a request that matched none."""


class Metrics:
    """All series of one process, in a registry of their own."""

    def __init__(self, read: Callable[[], Reading] = Reading, *, version: str = "") -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        counter, histogram = self._counter, self._histogram
        self._families: list[Counts | Spreads] = []
        self._histograms: list[Spreads] = []
        self._waiting = 0
        """Requests whose times may wait to be counted."""
        self.requests = counter(
            "requests", "Requests of clients, once each, when they are over.", "route", "operation", "status", "outcome"
        )
        self.attempts = counter("attempts", "Upstream calls by the class that they ended in.", "provider", "class")
        self.retries = counter("retries", "Upstream calls that repeated one on the same provider.", "provider")
        self.failovers = counter("failovers", "Changes of provider within a request.", "from", "to", "reason")
        self.degraded = counter("degraded", "Requests that a degradation answered.", "route", "kind")
        self.cache = counter("cache", "Requests by what the cache had for them.", "route", "result")
        self.hedged = counter("hedged_attempts", "Calls of which there were two at once.", "provider", "part")
        self.tokens = counter("tokens", "Tokens as the providers counted them.", "provider", "type")
        self.billed = counter(
            "maybe_billed", "Calls that were fully sent and came to nothing, so that they may be charged.", "provider"
        )
        self.bytes = counter("response_bytes", "Bytes of answers sent to clients.", "route")
        self.reloads = counter("config_reloads", "Attempts to load a changed configuration.", "result")
        self.health_checks = counter("health_checks", "Health checks by what they found.", "provider", "result")
        self.duration = histogram(
            "request_duration_seconds",
            "From a request's start to the end of its answer.",
            DURATIONS,
            "route",
            "operation",
        )
        self.attempt_duration = histogram(
            "attempt_duration_seconds", "From an upstream call's start to its end.", DURATIONS, "provider"
        )
        self.first_output = histogram(
            "first_output_seconds", "From an upstream call's start to its first real output.", DURATIONS, "provider"
        )
        self.overhead: Spread = histogram(
            "overhead_seconds", "A request's duration, less the time inside upstream calls and back-offs.", OVERHEADS
        )[()]
        self.registry.register(_Counted(self._families))
        self.last_reload = Gauge(
            "sidestep_config_last_reload_successful",
            "Whether the newest configuration is the one in force.",
            registry=self.registry,
        )
        self.last_reload.set(1)
        self.registry.register(StateCollector(read, version))
        ProcessCollector(registry=self.registry)

    def observe(self, records: Sequence[Record]) -> None:
        """Count finished requests; called exactly once for each."""
        for record in records:
            route = record.route or UNROUTED
            operation = record.request.operation
            self.requests[route, operation, STATUS_CLASSES.get(record.status, "none"), record.outcome] += 1
            self.duration[route, operation].add(duration(record))
            self.overhead.add(overhead(record))
            self.bytes[route] += record.response_bytes
            if record.degraded:
                self.degraded[route, record.degraded] += 1
            if record.cache:
                self.cache[route, record.cache] += 1
            for attempt in record.attempts:
                self._attempt(attempt)
            if record.failed_over:
                for moved in record.failovers:
                    self.failovers[moved] += 1
        self._waiting += len(records)
        if self._waiting >= WAITING:
            self._waiting = 0
            for spreads in self._histograms:
                spreads.count()

    def checked(self, provider: str, result: str) -> None:
        """Count one health check."""
        self.health_checks[provider, result] += 1

    def reloaded(self, *, ok: bool) -> None:
        """Count one attempt to load a changed configuration."""
        self.reloads["ok" if ok else "refused"] += 1
        self.last_reload.set(ok)

    def collect(self) -> Iterator[Metric]:
        """Every family, as /metrics shows it."""
        return iter(self.registry.collect())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the body of /metrics and its content type: OpenMetrics when it is asked for, else the plain format."""
        if "application/openmetrics-text" in accept:
            body: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]  # the library has none
            return body, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _attempt(self, attempt: Attempt) -> None:
        provider, failure, facts = attempt.provider, attempt.failure, attempt.facts
        started, first_output_at = attempt.started, attempt.first_output_at
        self.attempts[provider, "ok" if failure is None else failure.error_class] += 1
        took = attempt.ended - started
        self.attempt_duration[provider].add(took if took > 0 else 0.0)
        if first_output_at is not None:
            wait = first_output_at - started
            self.first_output[provider].add(wait if wait > 0 else 0.0)
        tokens = self.tokens
        if facts.input_tokens:
            tokens[provider, "input"] += facts.input_tokens
        if facts.output_tokens:
            tokens[provider, "output"] += facts.output_tokens
        if facts.cached_tokens:
            tokens[provider, "cached"] += facts.cached_tokens
        if facts.reasoning_tokens:
            tokens[provider, "reasoning"] += facts.reasoning_tokens
        if attempt.resend:
            self.retries[provider] += 1
        if attempt.hedge:
            self.hedged[provider, attempt.hedge] += 1
        if failure is not None and maybe_billed(attempt):
            self.billed[provider] += 1

    def _counter(self, name: str, documentation: str, *labels: str) -> Counts:
        counts = Counts(f"sidestep_{name}", documentation, *labels)
        self._families.append(counts)
        return counts

    def _histogram(self, name: str, documentation: str, bounds: tuple[float, ...], *labels: str) -> Spreads:
        spreads = Spreads(f"sidestep_{name}", documentation, bounds, *labels)
        self._families.append(spreads)
        self._histograms.append(spreads)
        return spreads


class _Counted(Collector):
    """Turns what was counted into the library's families at every scrape."""

    def __init__(self, families: list[Counts | Spreads]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return (each.family() for each in self._families)
