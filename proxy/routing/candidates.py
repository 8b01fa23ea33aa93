"""Who can be asked and who cannot: candidates for a strategy to order, and exclusions with their reasons."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from proxy.config.snapshot import Provider


class Exclusion(StrEnum):
    """Why a provider of the route is no candidate right now."""

    DISABLED = "disabled"
    """Switched off, in the configuration or by the operator."""
    UNCONFIGURED = "unconfigured"
    """It lacks the key that it needs."""
    UNSUPPORTED = "unsupported"
    """It lacks the capability or the model, by its configuration or as it has told us."""
    OPEN = "open"
    """Its breaker is open, or half open with every probe taken."""
    COOLING_DOWN = "cooling_down"
    """It asked to be left alone, or was benched."""
    RATE_LIMITED = "rate_limited"
    """Our own limit for it is used up."""
    BUSY = "busy"
    """It has as many calls under way as it is to get."""
    UNHEALTHY = "unhealthy"
    """Its checks fail; it is asked only when there is nobody else."""
    TRIED = "tried"
    """This request has asked it already."""
    SMALLER_WINDOW = "smaller_window"
    """The prompt was too long elsewhere, and it declares no larger window."""
    TOO_LATE = "too_late"
    """The deadline leaves it too little time to answer, and the request has been asked elsewhere already."""


class Candidate(NamedTuple):
    """A provider that may be asked now, with what strategies rank by."""

    name: str
    priority: int
    """Lower comes first."""
    weight: float
    share: float
    """In (0, 1]: how much of its traffic it gets back while it recovers."""
    requests: int = 0
    """Attempts that the measurements below rest on."""
    success_rate: float | None = None
    """0-1; None when nothing was seen."""
    latency: float | None = None
    """Seconds to the first output (median), else the average to the end; None when nothing succeeded."""


class Excluded(NamedTuple):
    """A provider that may not be asked now."""

    name: str
    reason: Exclusion
    recovers_in: float | None
    """Seconds until it may be asked again; None when waiting does not help."""


def serves(provider: Provider, capability: str, *, tools: bool = False) -> bool:
    """Say whether the provider's configuration covers a kind of request: its capability, and the tools it offers."""
    return capability in provider.supports and (not tools or "tools" in provider.supports)


def soonest(excluded: Sequence[Excluded]) -> Excluded | None:
    """Return who may be asked again first, by waiting alone; None when nobody will. The earlier one wins a tie."""
    first: Excluded | None = None
    least = float("inf")
    for each in excluded:
        if each.recovers_in is not None and each.recovers_in < least:
            first, least = each, each.recovers_in
    return first
