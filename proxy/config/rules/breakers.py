"""Rules for one breaker's settings: every key that is written down can make a difference."""

from collections.abc import Iterator

from proxy.config.snapshot import BreakerSettings


def breaker_faults(settings: BreakerSettings, written: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a breaker as (key, message). Only keys in `written` are blamed."""
    if settings.max_open_for < settings.open_for:
        for key in ("max_open_for", "open_for"):
            if key in written:
                yield key, "max_open_for is shorter than open_for"
                break
    if highest_ratio(settings) < settings.ratio:
        for key in ("ratio", "min_requests"):
            if key in written:
                yield key, f"{key} has no effect: so many cannot fail without `failures` in a row, which open it first"


def highest_ratio(settings: BreakerSettings) -> float:
    """The largest share of failures that `min_requests` or more attempts can hold without `failures` in a row.

    The worst such sequence repeats `failures - 1` failures and one success. It is worst when it ends just before a
    success is due.
    """
    successes = settings.min_requests // settings.failures
    attempts = settings.failures * (successes + 1) - 1
    return (attempts - successes) / attempts if attempts else 0.0
