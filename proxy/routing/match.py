"""Which route takes a request: the first whose every condition holds."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from proxy.config.snapshot import Match, Route
from proxy.messages import Request

_METHOD = "POST"
"""Every operation is a POST; a route that asks for another method takes none of them."""


def match(routes: Sequence[Route], request: Request) -> Route | None:
    """Return the first route, in the order of the file, that takes the request; None when there is none."""
    for route in routes:
        if _takes(route.match, request):
            return route
    return None


def _takes(condition: Match, request: Request) -> bool:
    """Compare cheapest first. The path is the raw one: no decoding, no `..`, no trailing slash is forgiven."""
    return (
        condition.path == request.path
        and condition.method == _METHOD
        and (condition.stream is None or condition.stream is request.stream)
        and (condition.tools is None or condition.tools is request.tools)
        and (not condition.headers or _has(condition.headers, request.headers))
        and (condition.model == "*" or fnmatchcase(request.model, condition.model))
    )


def _has(wanted: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    return all(headers.get(name) == value for name, value in wanted.items())
