"""The metrics of several processes as those of one.

Counters and histograms add up, and so do gauges of amounts (what is in flight, memory). Of other gauges the greatest
tells the most: the longest lag, the longest cool-down. The state of a breaker or of a provider's health is the worst
that any process sees. `SMALLEST` names the gauges where the least is the news.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from proxy.telemetry.metrics import Metrics
from proxy.telemetry.reading import GRAVITY, SEVERITY

Family = list[Any]
"""As JSON has it: name, help, type, and samples of name, labels, value."""

ADDED = frozenset(
    {
        "sidestep_requests_in_flight",
        "sidestep_provider_in_flight",
        "sidestep_provider_queued",
        "sidestep_retry_budget_remaining",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
    }
)
"""Gauges that add up."""
SMALLEST = frozenset({"sidestep_config_last_reload_successful", "process_start_time_seconds", "process_max_fds"})
BREAKERS = tuple(state.value for state in SEVERITY)
HEALTH = (*(status.value for status in GRAVITY), "disabled")
WORST = {"sidestep_breaker_state": ("state", BREAKERS), "sidestep_provider_health": ("status", HEALTH)}
"""Gauges of which one label's values exclude one another, the worst last."""

Labels = tuple[tuple[str, str], ...]


def samples(metrics: Metrics) -> list[Family]:
    """Read every family of one process."""
    return [
        [each.name, each.documentation, each.type, [[s.name, s.labels, s.value] for s in each.samples]]
        for each in metrics.collect()
    ]


def merged(processes: Iterable[list[Family]]) -> list[Family]:
    """The families of several processes as those of one."""
    found: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, Labels], float]] = {}
    for families in processes:
        for name, documentation, kind, told in families:
            found.setdefault(name, [name, documentation, kind])
            held = values.setdefault(name, {})
            for sample, labels, value in told:
                key = (sample, tuple(labels.items()))
                held[key] = _together(name, kind, held[key], value) if key in held else value
    for name, (label, order) in WORST.items():
        if name in values:
            values[name] = _worst(values[name], label, order)
    return [
        [*family, [[sample, dict(labels), value] for (sample, labels), value in values[name].items()]]
        for name, family in found.items()
    ]


def lasting(families: list[Family]) -> list[Family]:
    """What stays true of a process that is gone: what it counted."""
    return [each for each in families if each[2] in {"counter", "histogram"}]


def render(families: list[Family], accept: str) -> tuple[bytes, str]:
    """Return the body of /metrics and its content type, as `Metrics.render` does for one process."""
    page = _Page(families)
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.generate_latest(page)  # type: ignore[no-untyped-call]  # the library has none
        return body, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(page), CONTENT_TYPE_PLAIN_0_0_4


class _Page(Collector):
    """Families as the library's renderers take them."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for name, documentation, kind, told in self._families:
            metric = Metric(name, documentation, kind)
            for sample, labels, value in told:
                metric.add_sample(sample, labels, value)
            yield metric


def _together(name: str, kind: str, one: float, other: float) -> float:
    if kind != "gauge" or name in ADDED:
        return one + other
    return min(one, other) if name in SMALLEST else max(one, other)


def _worst(
    values: dict[tuple[str, Labels], float], label: str, order: tuple[str, ...]
) -> dict[tuple[str, Labels], float]:
    """Leave 1 for the worst state that anybody sees, 0 for the others."""
    worst: dict[Labels, int] = {}
    for (_, labels), value in values.items():
        if value:
            rest = tuple(each for each in labels if each[0] != label)
            worst[rest] = max(worst.get(rest, 0), order.index(dict(labels)[label]))
    return {
        (sample, labels): float(
            order.index(dict(labels)[label]) == worst.get(tuple(each for each in labels if each[0] != label))
        )
        for sample, labels in values
    }
