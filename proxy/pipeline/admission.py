"""Our own limit on requests in flight: refuse at once rather than queue without bound."""

from proxy.errors import NoProviderAvailable
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Answering, Handler
from proxy.registry import Registry

RETRY_AFTER = 1.0
"""Seconds; an answer takes about that long to make room."""


def admission(registry: Registry, limit: int) -> Answering:
    """Answer 503 when `limit` requests are already being answered."""

    async def run(call: Call, following: Handler[Reply]) -> Reply:
        if registry.in_flight > limit:
            raise NoProviderAvailable(
                f"sidestep is at its limit of {limit} requests in flight", retry_after=RETRY_AFTER
            )
        call.route_state.budget.request(call.request.received)
        return await following(call)

    return Answering("admission", run)
