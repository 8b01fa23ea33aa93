"""Rules for policies: well-named, and every key in them can make a difference. An unused policy is a fine thing."""

import re
from collections.abc import Iterator

from proxy.config.rules.breakers import breaker_faults
from proxy.config.rules.draft import Draft
from proxy.errors import Problem
from proxy.messages import CAPABILITIES, ENDPOINTS

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
        steps = draft.snapshot.policies[name].degrade
        for index, step in enumerate(steps):
            if any(earlier.static is not None for earlier in steps[:index]):
                yield document.problem(("degrade", index), "has no effect: the static answer above always succeeds")
            if step.model is not None and not _served(draft, name, step.model):
                yield document.problem(
                    ("degrade", index, "model"), "no provider of a route with this policy serves this model"
                )


def _served(draft: Draft, policy: str, model: str) -> bool:
    """Whether some route with this policy could answer with this model; a policy without routes is not judged."""
    routes = [route for route in draft.snapshot.routes if route.policy == policy]
    return not routes or any(
        provider.upstream_model(model, CAPABILITIES[ENDPOINTS[route.match.path]]) is not None
        for route in routes
        for provider in draft.providers_of(route)
    )


RULES = (names, breakers, clocks, degrading)
