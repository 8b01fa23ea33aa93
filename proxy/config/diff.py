"""What a new generation changes, in words for a log line and for `sidestep reload`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from proxy.config.snapshot import Snapshot

RESTART = ("listen", "admin")
"""Keys of `server` that take effect only at the next start: the listeners stay open over a reload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Names only: no value is told, because a value can be a secret."""

    added: tuple[str, ...] = ()
    """Providers, routes and policies, as `provider pollinations`."""
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """As `provider pollinations: timeout, weight`."""
    needs_restart: tuple[str, ...] = ()
    """As `server.listen`."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.needs_restart)


def difference(old: Snapshot, new: Snapshot) -> Difference:
    """Compare two generations."""
    added, removed, changed = [], [], []
    for kind, before, after in (
        ("provider", old.providers, new.providers),
        ("policy", old.policies, new.policies),
        ("route", {route.name: route for route in old.routes}, {route.name: route for route in new.routes}),
    ):
        added += [f"{kind} {name}" for name in after if name not in before]
        removed += [f"{kind} {name}" for name in before if name not in after]
        changed += _changed(kind, before, after)
    restart = [f"server.{key}" for key in RESTART if getattr(old.server, key) != getattr(new.server, key)]
    for section in ("server", "telemetry"):
        names = [name for name in _fields(getattr(old, section), getattr(new, section)) if name not in RESTART]
        changed += [f"{section}: {', '.join(names)}"] if names else []
    return Difference(added=tuple(added), removed=tuple(removed), changed=tuple(changed), needs_restart=tuple(restart))


def _changed(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{kind} {name}: {', '.join(names)}"
        for name in before
        if name in after and (names := _fields(before[name], after[name]))
    ]
    if kind == "route" and list(before) != list(after) and set(before) == set(after):
        lines.append("routes: order")
    return lines


def _fields(before: Any, after: Any) -> list[str]:  # noqa: ANN401  any settings class
    return [each.name for each in fields(before) if getattr(before, each.name) != getattr(after, each.name)]
