"""Our own limits on what this process takes on: refuse at once rather than queue without bound."""

from collections.abc import Awaitable

from proxy.config.snapshot import Limits
from proxy.errors import NoProviderAvailable
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.registry import Registry
from proxy.resilience.load import Strain

RETRY_AFTER = 1.0
"""Seconds; an answer takes about that long to make room."""

_REASONS = {
    Strain.IN_FLIGHT: "it answers as many requests as it may",
    Strain.LAG: "it keeps running behind",
    Strain.MEMORY: "its memory is nearly used up",
}


def admit(registry: Registry, limits: Limits) -> None:
    """Raise NoProviderAvailable (`overloaded`) when one more request, counted in flight already, is one too many."""
    strain = registry.load.refuse(registry.in_flight, limits)
    if strain is not None:
        message = f"sidestep is overloaded: {_REASONS[strain]}"
        raise NoProviderAvailable(message, code="overloaded", retry_after=RETRY_AFTER)


def admission(registry: Registry, limits: Limits) -> Answering:
    """Admit the request and let the route's retry budget grow by it.

    The listener has asked before it read the body; a library's calls are asked here for the first time.
    """

    def run(call: Call, following: Handler[Reply]) -> Awaitable[Reply]:
        admit(registry, limits)
        call.route_state.budget.request(call.request.received)
        return following(call)

    return Answering("admission", run, noted=False)
