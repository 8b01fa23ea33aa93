"""What several workers know, as one document of the same shape. Pure.

Counts and rates add up, times and shares are weighted by the requests behind them, states are the worst that any worker
sees. Percentiles do not add up: they are those of the busiest worker. Everything else is the same in all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proxy.server.admin.operations import Document
from proxy.telemetry.merging import BREAKERS, HEALTH

Merge = Callable[[Sequence[Any]], Any]


def status(documents: Sequence[Document]) -> Document:
    """`in_flight`, `providers` and `routes` of several `/admin/status`; `documents` is not empty."""
    return {
        "in_flight": sum(each["in_flight"] for each in documents),
        "providers": _by_name([each["providers"] for each in documents], provider),
        "routes": _by_name([each["routes"] for each in documents], route),
    }


def statistics(documents: Sequence[Document]) -> Document:
    """The sum of several `/admin/stats`."""
    total = sum(each["total_requests"] for each in documents)
    successful = sum(each["successful_requests"] for each in documents)
    return {
        **_merged(documents, {"since": min, "failover_count": sum, "provider_usage": _counts, "outcomes": _counts}),
        "total_requests": total,
        "successful_requests": successful,
        "success_rate": successful / total if total else 0.0,
    }


def requests(documents: Sequence[Document], most: int) -> Document:
    """The newest of the last requests."""
    found = [entry for each in documents for entry in each["requests"]]
    found.sort(key=lambda entry: entry["time"], reverse=True)
    return {"requests": found[:most]}


def provider(documents: Sequence[Document]) -> Document:
    """One provider, as every worker sees it."""
    return _merged(documents, _PROVIDER)


def route(documents: Sequence[Document]) -> Document:
    """One route, as every worker sees it."""
    return _merged(documents, {"retry_budget": sum})


def checks(documents: Sequence[Document]) -> Document:
    """A provider after every worker checked it; each worker's findings one after the other."""
    return {**provider(documents), "checks": [found for each in documents for found in each["checks"]]}


def performance(documents: Sequence[Document]) -> Document:
    """The last minutes of one provider."""
    total = sum(each["requests"] for each in documents)
    successes = sum(each["requests"] * each["success_rate"] for each in documents)
    seconds = sum(each["requests"] * each["success_rate"] * each["average_response_time"] for each in documents)
    return {
        **max(documents, key=lambda each: each["requests"]),
        "requests": total,
        "success_rate": successes / total if total else 0.0,
        "average_response_time": seconds / successes if successes else 0.0,
        "requests_per_minute": sum(each["requests_per_minute"] for each in documents),
    }


def _health(documents: Sequence[Document]) -> Document:
    worst = max(documents, key=lambda each: HEALTH.index(each["status"]))
    newest = max(documents, key=lambda each: each["last_check"] or 0.0)
    return {**worst, "last_check": newest["last_check"], "last_check_seconds": newest["last_check_seconds"]}


def _breaker(documents: Sequence[Document]) -> Document:
    return max(documents, key=lambda each: (BREAKERS.index(each["state"]), each["opens_until"] or 0.0))


def _cool_down(documents: Sequence[Document]) -> Document:
    return max(documents, key=lambda each: each["remaining"])


def _rate_limits(documents: Sequence[Document]) -> Document:
    return _by_name(documents, lambda found: _merged(found, {"limit": sum, "left": sum, "period": min}))


def _endpoints(documents: Sequence[list[Document]]) -> list[Document]:
    named = [{each["url"]: each for each in endpoints} for endpoints in documents]
    return list(_by_name(named, provider).values())


def _counts(documents: Sequence[Mapping[str, int]]) -> Document:
    return _by_name(documents, sum)


def _by_name(documents: Sequence[Mapping[str, Any]], merge: Merge) -> Document:
    """Merge what stands under each name, in the order in which names come up."""
    names = dict.fromkeys(name for each in documents for name in each)
    return {name: merge([each[name] for each in documents if name in each]) for name in names}


def _merged(documents: Sequence[Document], rules: Mapping[str, Merge]) -> Document:
    """Merge field by field; a field without a rule is the first worker's."""
    values = _by_name(documents, list)
    return {name: rules[name](found) if name in rules else found[0] for name, found in values.items()}


_PROVIDER: Mapping[str, Merge] = {
    "usage_count": sum,
    "in_flight": sum,
    "queued": sum,
    "rate_limit": _rate_limits,
    "health": _health,
    "performance": performance,
    "circuit_breaker": _breaker,
    "cool_down": _cool_down,
    "endpoints": _endpoints,
}
