"""A sidecar's status as tables for people."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.client import clean

Document = Mapping[str, Any]

_PIPED_WIDTH = 160
"""Columns when nobody looks: a pipe has no edge."""
_STYLES = {
    "healthy": "green",
    "closed": "green",
    "degraded": "yellow",
    "half_open": "yellow",
    "unhealthy": "red",
    "open": "red",
    "failed": "red",
    "broken": "red",
    "ok": "green",
}


def console() -> Console:
    """Where tables go."""
    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def providers_table(status: Document) -> Table:
    """One line per provider: how it is, what it did in the last five minutes, and what there is to say."""
    table = _table("provider", "health", "breaker", "answers", "success", "p50", "p95", "req/min", "in flight", "note")
    for name, each in status["providers"].items():
        seen = each["performance"]
        table.add_row(
            name,
            _colored(each["health"]["status"]),
            _colored(each["circuit_breaker"]["state"]),
            str(each["usage_count"]),
            share(seen["success_rate"]) if seen["requests"] else "-",
            seconds(seen["p50"]),
            seconds(seen["p95"]),
            f"{seen['requests_per_minute']:.1f}",
            str(each["in_flight"]),
            Text(clean(note(each))),
        )
    return table


def routes_table(status: Document) -> Table:
    """One line per route: what it takes, whom it asks and in which order."""
    table = _table("route", "path", "model", "strategy", "providers")
    for name, each in status["routes"].items():
        strategy = each["strategy"]
        if each["overridden"]:
            strategy += f" (by hand; configured: {each['configured_strategy']})"
        table.add_row(name, Text(each["path"]), Text(each["model"]), strategy, ", ".join(each["providers"]))
    return table


def requests_table(requests: Sequence[Document]) -> Table:
    """One line per request: who was asked, and how it ended."""
    table = _table("request", "route", "model", "asked", "outcome", "status", "took")
    for each in requests:
        asked = " > ".join(f"{rung['provider']}:{rung['class']}" for rung in each["attempts"])
        table.add_row(
            Text(clean(each["request_id"][:12])),
            each["route"] or "-",
            Text(clean(each["model"])),
            asked or "-",
            _colored(each["outcome"]),
            str(each["status"] or "-"),
            seconds(each["milliseconds"] / 1000),
        )
    return table


def summary(status: Document) -> str:
    """The whole sidecar in one line."""
    counts = status["statistics"]
    total = counts["total_requests"]
    stale = "" if status["reload"]["ok"] else "; THE FILES WERE REFUSED, this is the generation before"
    return (
        f"{total} requests, {share(counts['success_rate']) if total else '-'} answered, "
        f"{counts['failover_count']} failed over, {status['in_flight']} in flight; "
        f"generation {status['generation']}{stale}"
    )


def note(provider: Document) -> str:
    """What a column cannot hold, the most important first."""
    if not provider["configured"]:
        return "no key, so no traffic"
    if provider["overridden"]:
        return f"{'enabled' if provider['enabled'] else 'disabled'} by hand"
    if provider["cool_down"]["reason"]:
        return f"left alone for {provider['cool_down']['remaining']:.0f} s: {provider['cool_down']['reason']}"
    if provider["health"]["status"] in {"degraded", "unhealthy"}:
        return provider["health"]["last_error"] or ""
    return ""


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def share(value: float) -> str:
    """A ratio for people."""
    return f"{value:.1%}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _colored(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))
