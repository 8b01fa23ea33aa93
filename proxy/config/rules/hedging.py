"""Rules for hedging: there must be somebody to ask, leave to ask, and a moment at which it is not too late."""

from collections.abc import Iterator

from proxy.config.rules.draft import Draft
from proxy.config.snapshot import Hedge, Policy, Quantile, Route
from proxy.errors import Problem
from proxy.messages import ENDPOINTS, Operation


def effects(draft: Draft) -> Iterator[Problem]:
    """A hedge that could never be made has no effect. What depends on routes is not judged for a policy without any."""
    for name, document in draft.policy_documents.items():
        policy = draft.snapshot.policies[name]
        if policy.hedge is None:
            continue
        routes = [route for route in draft.snapshot.routes if route.policy == name]
        fault = _forbidden(policy) or _nobody(routes, policy.hedge, policy)
        if fault:
            yield document.problem(("hedge",), f"hedge has no effect: {fault}")
        elif not isinstance(policy.hedge.delay, Quantile) and policy.hedge.delay >= _longest_wait(
            draft, policy, routes
        ):
            yield document.problem(("hedge", "delay"), "delay has no effect: the first call times out before")


def _forbidden(policy: Policy) -> str:
    if policy.attempts < 2:
        return "`attempts` allows one call"
    return "`retry.replay: never` lets nothing be asked twice" if policy.retry.replay == "never" else ""


def _nobody(routes: list[Route], hedge: Hedge, policy: Policy) -> str:
    """Why no request of these routes could be hedged."""
    if not routes:
        return ""
    if all(len(route.providers) < 2 for route in routes):
        return "no route with this policy has a second provider"
    if not hedge.tools and all(route.match.tools for route in routes):
        return "all requests of its routes offer tools"
    images = all(ENDPOINTS[route.match.path] is Operation.IMAGES for route in routes)
    return "images are hedged only with `retry.replay: always`" if images and policy.retry.replay != "always" else ""


def _longest_wait(draft: Draft, policy: Policy, routes: list[Route]) -> float:
    """Return the longest time that a provider has for its first output, seconds; the request's end bounds all."""
    waits = [
        policy.timeouts.first_output
        if provider.timeout is None or ENDPOINTS[route.match.path] is Operation.IMAGES
        else provider.timeout
        for route in routes
        for provider in draft.providers_of(route)
    ]
    return min(policy.timeouts.total, max(waits, default=policy.timeouts.first_output))


RULES = (effects,)
