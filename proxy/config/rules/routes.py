"""Rules for routes: each names what exists, can be reached, and names only providers that can serve it."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from proxy.config.rules.draft import Draft
from proxy.config.snapshot import Match, Provider, StrategyName
from proxy.config.text import Path
from proxy.errors import Problem
from proxy.messages import CAPABILITIES, ENDPOINTS, Operation

_WITH_TOOLS = frozenset({Operation.CHAT, Operation.RESPONSES})


def names(draft: Draft) -> Iterator[Problem]:
    """Route names are unique; the policy and the providers that a route names exist, each once."""
    seen: set[str] = set()
    for index, route in enumerate(draft.snapshot.routes):
        path: Path = ("routes", index)
        if route.name in seen:
            yield draft.document.problem((*path, "name"), "another route has this name already")
        seen.add(route.name)
        if route.policy not in draft.snapshot.policies:
            hint = draft.hint(("routes", index, "policy"), draft.snapshot.policies)
            yield draft.document.problem(
                (*path, "policy"), f"unknown policy {draft.document.quote((*path, 'policy'))}{hint}"
            )
        for place, name in enumerate(route.providers):
            written = draft.document.quote((*path, "providers", place))
            if name not in draft.snapshot.providers:
                hint = draft.hint(("routes", index, "providers", place), draft.snapshot.providers)
                yield draft.document.problem((*path, "providers", place), f"unknown provider {written}{hint}")
            if name in route.providers[:place]:
                yield draft.document.problem((*path, "providers", place), f"{written} is named twice")


def reachable(draft: Draft) -> Iterator[Problem]:
    """A route behind one that takes everything it could match would never be used, but as a policy's last resort."""
    routes = draft.snapshot.routes
    spare = {step.route for policy in draft.snapshot.policies.values() for step in policy.degrade}
    for index, route in enumerate(routes):
        if route.name in spare:
            continue
        for earlier, other in enumerate(routes[:index]):
            if covers(other.match, route.match):
                above = draft.document.node(("routes", earlier)).place.line
                yield draft.document.problem(
                    ("routes", index, "match"),
                    f"this route is unreachable: the one in line {above} takes all of its requests",
                )
                break


def covers(earlier: Match, later: Match) -> bool:
    """Whether every request that `later` matches is matched by `earlier` too."""
    return (
        (earlier.path, earlier.method) == (later.path, later.method)
        and _pattern_covers(earlier.model, later.model)
        and earlier.headers.items() <= later.headers.items()
        and earlier.stream in {None, later.stream}
        and earlier.tools in {None, later.tools}
    )


def _pattern_covers(earlier: str, later: str) -> bool:
    """Whether one model pattern includes another; False when that would take more than a look to prove."""
    if earlier in {"*", later}:
        return True
    if not set(later) & set("*?["):
        return fnmatchcase(later, earlier)
    # `*` is the one wildcard that may stand for another pattern's wildcards, and `[` hides which text it stands for.
    return not set(earlier) & set("?[") and "[" not in later and fnmatchcase(later, earlier)


def served(draft: Draft) -> Iterator[Problem]:
    """Every provider of a route can serve what the route takes."""
    for index, route in enumerate(draft.snapshot.routes):
        operation = ENDPOINTS[route.match.path]
        if route.match.tools and operation not in _WITH_TOOLS:
            yield draft.document.problem(
                ("routes", index, "match", "tools"), f"no request to {route.match.path} offers tools"
            )
        for place, name in enumerate(route.providers):
            provider = draft.snapshot.providers.get(name)
            if provider is not None and (reason := _cannot_serve(provider, operation, route.match)):
                yield draft.document.problem(
                    ("routes", index, "providers", place), f"the provider has no effect here: {reason}"
                )


def _cannot_serve(provider: Provider, operation: Operation, match: Match) -> str:
    if CAPABILITIES[operation] not in provider.supports:
        return f"{CAPABILITIES[operation]!r} is not in its `supports`"
    if match.tools and operation in _WITH_TOOLS and "tools" not in provider.supports:
        return "'tools' is not in its `supports`"
    if not set(match.model) & set("*?[") and provider.upstream_model(match.model, CAPABILITIES[operation]) is None:
        names = "image_models" if operation is Operation.IMAGES else "models"
        return f"its `{names}` name neither the route's model nor a default"
    return ""


def weights(draft: Draft) -> Iterator[Problem]:
    """A weighted route needs a weight above 0 somewhere."""
    for index, route in enumerate(draft.snapshot.routes):
        policy = draft.snapshot.policies.get(route.policy)
        if policy is None or policy.strategy is not StrategyName.WEIGHTED_ROUND_ROBIN:
            continue
        providers = draft.providers_of(route)
        if providers and not any(provider.weight for provider in providers):
            yield draft.document.problem(
                ("routes", index, "providers"), "all providers of this weighted route have the weight 0"
            )


RULES = (names, reachable, served, weights)
