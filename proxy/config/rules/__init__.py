"""What no schema can say: how the parts of a configuration must fit together, and that each of them has an effect.

A rule is a generator over a `Draft`: a configuration of the right shape, and the documents to point into. There are
no warnings; whatever is worth telling is a problem.
"""

from collections.abc import Callable, Iterator

from proxy.config.rules import hedging, policies, providers, routes, server
from proxy.config.rules.draft import Draft
from proxy.errors import Problem

__all__ = ["Draft", "check"]

Rule = Callable[[Draft], Iterator[Problem]]

RULES: tuple[Rule, ...] = (*server.RULES, *providers.RULES, *routes.RULES, *policies.RULES, *hedging.RULES)


def check(draft: Draft) -> Iterator[Problem]:
    """Every problem that any rule finds."""
    for rule in RULES:
        yield from rule(draft)
