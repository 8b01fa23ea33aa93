"""Rules for policies: well-named, and every key in them can make a difference. An unused policy is a fine thing."""

import re
from collections.abc import Iterator

from proxy.config.rules.breakers import breaker_faults
from proxy.config.rules.draft import Draft
from proxy.config.shape import did_you_mean
from proxy.config.snapshot import Policy
from proxy.errors import Problem
from proxy.messages import CAPABILITIES, ENDPOINTS, KEPT

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def names(draft: Draft) -> Iterator[Problem]:
    """A file's name is its policy's name."""
    for name, document in draft.policy_documents.items():
        if not _NAME.fullmatch(name):
            yield document.problem((), "a policy's file name uses letters, digits, `.`, `_` and `-` before its suffix")


def breakers(draft: Draft) -> Iterator[Problem]:
    """A policy's breaker by itself; with a provider's changes it is looked at under `providers`."""
    for name, document in draft.policy_documents.items():
        written = frozenset(document.node(("breaker",)).value) if document.has(("breaker",)) else frozenset()
        for key, message in breaker_faults(draft.snapshot.policies[name].breaker, written):
            yield document.problem(("breaker", key), message)


def clocks(draft: Draft) -> Iterator[Problem]:
    """A clock that another one always beats has no effect."""
    for name, document in draft.policy_documents.items():
        timeouts, backoff = draft.snapshot.policies[name].timeouts, draft.snapshot.policies[name].retry.backoff
        for key in ("connect", "first_output", "idle"):
            if document.has(("timeouts", key)) and getattr(timeouts, key) > timeouts.total:
                yield document.problem(("timeouts", key), f"{key} has no effect: timeouts.total ends first")
        if document.has(("timeouts", "connect")) and timeouts.first_output < timeouts.connect <= timeouts.total:
            yield document.problem(("timeouts", "connect"), "connect has no effect: timeouts.first_output ends first")
        if backoff.base > backoff.max:
            key = "base" if document.has(("retry", "backoff", "base")) else "max"
            yield document.problem(("retry", "backoff", key), "retry.backoff: base is longer than max")


def degrading(draft: Draft) -> Iterator[Problem]:
    """Nothing comes after a static answer, and a model to fall back on must be one that somebody serves."""
    for name, document in draft.policy_documents.items():
        policy = draft.snapshot.policies[name]
        steps = policy.degrade
        for index, step in enumerate(steps):
            if any(earlier.static is not None for earlier in steps[:index]):
                yield document.problem(("degrade", index), "has no effect: the static answer above always succeeds")
            if fault := _stale_fault(policy, index):
                yield document.problem(("degrade", index, "stale_cache"), f"stale_cache has no effect: {fault}")
            if step.route is not None and (fault := _route_fault(draft, name, step.route)):
                yield document.problem(("degrade", index, "route"), fault)
            if step.model is not None and not _served(draft, name, step.model):
                yield document.problem(
                    ("degrade", index, "model"), "no provider of a route with this policy serves this model"
                )


def _route_fault(draft: Draft, policy: str, wanted: str) -> str:
    """Why this route cannot stand in for those with the policy; empty when it can."""
    routes = {route.name: route for route in draft.snapshot.routes}
    if wanted not in routes:
        return f"there is no route {wanted!r}{did_you_mean(wanted, routes)}"
    asking = [route for route in routes.values() if route.policy == policy]
    if any(route.match.path != routes[wanted].match.path for route in asking):
        return f"the route {wanted!r} takes another path than those with this policy"
    if asking and all(set(routes[wanted].providers) <= set(route.providers) for route in asking):
        return f"has no effect: the providers of {wanted!r} have been asked by then"
    return ""


def _stale_fault(policy: Policy, index: int) -> str:
    """Why a `stale_cache` step would never find an answer; empty when it could."""
    stale = policy.degrade[index].stale_cache
    if stale is None:
        return ""
    if policy.cache is None:
        return "without `cache` in this policy nothing is kept"
    if stale.max_age <= policy.cache.ttl:
        return "max_age is no longer than cache.ttl, and so the cache itself answers"
    if any(each.stale_cache and stale.max_age <= each.stale_cache.max_age for each in policy.degrade[:index]):
        return "an earlier step looks at least as far back"
    return ""


def caching(draft: Draft) -> Iterator[Problem]:
    """Some route with this policy must have answers that can be kept; a policy without routes is not judged."""
    for name, document in draft.policy_documents.items():
        routes = [route for route in draft.snapshot.routes if route.policy == name]
        if draft.snapshot.policies[name].cache is None or not routes:
            continue
        if all(route.match.tools or ENDPOINTS[route.match.path] not in KEPT for route in routes):
            message = "cache has no effect: answers to requests like those of its routes are never kept"
            yield document.problem(("cache",), message)


def _served(draft: Draft, policy: str, model: str) -> bool:
    """Whether some route with this policy could answer with this model; a policy without routes is not judged."""
    routes = [route for route in draft.snapshot.routes if route.policy == policy]
    return not routes or any(
        provider.upstream_model(model, CAPABILITIES[ENDPOINTS[route.match.path]]) is not None
        for route in routes
        for provider in draft.providers_of(route)
    )


RULES = (names, breakers, clocks, degrading, caching)
