"""Every setting in force, and where it was written. Pure; shows no secret.

`origins` notes the places while the files are at hand; `effective` puts them beside the values of a snapshot. What no
file says has its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from proxy.config import build
from proxy.config.secrets import Secret, scrub
from proxy.config.snapshot import Address, Policy, Provider, Rate, Snapshot
from proxy.config.text import Document, Node, Path

HIDDEN = "***"


def origins(routes: Document, policies: Mapping[str, Document]) -> Mapping[Path, str]:
    """Path of every value in the files -> `file:line`, and the variables that it was made from."""
    found = dict(_places(routes, (), routes.root))
    for name, document in policies.items():
        found.update(_places(document, ("policies", name), document.root))
    return MappingProxyType(found)


def _places(document: Document, path: Path, node: Node) -> Iterator[tuple[Path, str]]:
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _places(document, (*path, key), child)
        return
    if isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _places(document, (*path, index), child)
    variables = "".join(f" ${{{name}}}" for name in dict.fromkeys(node.variables))
    yield path, f"{document.file}:{node.place.line}{variables}"


def effective(snapshot: Snapshot) -> dict[str, Any]:
    """`generation`, `files` and `settings`: the tree of the files, every leaf as `{"value", "from"}`."""
    keys = [provider.api_key for provider in snapshot.providers.values()]
    secrets = [each for each in (*keys, *snapshot.server.client_keys, snapshot.server.admin.token) if each]
    show = _Show(snapshot.written, secrets, {name: _checked_by(name, snapshot) for name in snapshot.providers})
    sections = ("server", "telemetry", "providers", "routes", "policies")
    return {
        "generation": snapshot.generation,
        "files": list(snapshot.files),
        "settings": {name: show.tree((name,), getattr(snapshot, name)) for name in sections},
    }


def _checked_by(provider: str, snapshot: Snapshot) -> str:
    """The policy whose health settings a provider has where it has none of its own; empty when no route names it."""
    names = [route.policy for route in snapshot.routes if provider in route.providers]
    strictest = build.strictest([snapshot.policies[name] for name in names])
    return next((name for name in names if snapshot.policies[name].health == strictest), "")


class _Show:
    """Walks the settings."""

    def __init__(self, written: Mapping[Path, str], secrets: list[Secret], checked_by: Mapping[str, str]) -> None:
        self._checked_by = checked_by
        self._written = written
        self._secrets = secrets

    def tree(self, path: Path, value: Any) -> Any:  # noqa: ANN401  settings of every kind
        """Show settings as maps and lists, down to single values."""
        if is_dataclass(value) and not isinstance(value, Address | Rate):
            named = isinstance(value, Provider | Policy)  # by the key that leads here
            names = [each.name for each in fields(value) if not (named and each.name == "name")]
            return {name: self.tree((*path, name), getattr(value, name)) for name in names}
        if isinstance(value, Mapping):
            return {str(key): self.tree((*path, str(key)), each) for key, each in value.items()}
        if isinstance(value, tuple) and any(is_dataclass(each) for each in value):
            return [self.tree((*path, index), each) for index, each in enumerate(value)]
        return {"value": self._leaf(path, value), "from": self._place(path)}

    def _place(self, path: Path) -> str:
        """Where a value was written; what a provider says nothing of may stand in the policy that it is checked by."""
        if path not in self._written and path[0] == "providers" and path[2:3] == ("health",):
            path = ("policies", self._checked_by.get(str(path[1]), ""), *path[2:])
        return self._written.get(path, "default")

    def _leaf(self, path: Path, value: Any) -> Any:  # noqa: ANN401
        """Show one value as JSON has it. A fixed header is hidden, because it may be a key by another name."""
        if isinstance(value, Secret) or (len(path) > 1 and path[-2] == "headers"):
            return HIDDEN
        if isinstance(value, tuple | frozenset):
            shown = [self._leaf(path, each) for each in value]
            return sorted(shown) if isinstance(value, frozenset) else shown
        if isinstance(value, Rate):
            return f"{value.count} per {value.period:g} s"
        if isinstance(value, StrEnum | Address):
            return str(value)
        return scrub(value, self._secrets) if isinstance(value, str) else value
