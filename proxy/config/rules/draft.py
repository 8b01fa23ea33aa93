"""What the rules look at: settings that have the right shape, and where each of them is written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.config.shape import did_you_mean
from proxy.config.snapshot import Policy, Provider, Route, Snapshot
from proxy.config.text import Document, Path


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration that is not accepted yet."""

    snapshot: Snapshot
    document: Document
    """routes.yaml"""
    policy_documents: Mapping[str, Document]
    """By policy name; the built-in default has none."""

    def hint(self, path: Path, known: Iterable[str]) -> str:
        """A did-you-mean for the name at this path, unless it came from the environment."""
        node = self.document.node(path)
        return "" if node.variables else did_you_mean(node.value, known)

    def policies_of(self, provider: str) -> Iterator[Policy]:
        """The policies of the routes that name a provider, as far as they exist."""
        for route in self.snapshot.routes:
            if provider in route.providers and route.policy in self.snapshot.policies:
                yield self.snapshot.policies[route.policy]

    def providers_of(self, route: Route) -> list[Provider]:
        """A route's providers, as far as they exist."""
        return [self.snapshot.providers[name] for name in route.providers if name in self.snapshot.providers]
