"""Plain data of the right shape in, settings out: the defaults that depend on other keys are decided here."""

import collections.abc
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from proxy.config.snapshot import HealthSettings, Policy, Provider, Route, Server, Telemetry
from proxy.config.units import is_loopback

POLLINATIONS_TEXT_URL = "https://text.pollinations.ai/openai"
POLLINATIONS_IMAGE_URL = "https://image.pollinations.ai/prompt/"
DEFAULT_POLICY = "default"

Settings = TypeVar("Settings")


def server(data: Mapping[str, Any]) -> Server:
    """The listeners; empty client keys are none, so that an unset variable cannot become a key that fits."""
    section = dict(data.get("server", {}))
    section["client_keys"] = [key for key in section.get("client_keys", []) if key is not None]
    return structure(Server, section)


def telemetry(data: Mapping[str, Any]) -> Telemetry:
    """Where traces go and what they hold."""
    return structure(Telemetry, data.get("telemetry", {}))


def providers(data: Mapping[str, Any], policies: Mapping[str, Policy], folder: Path) -> Mapping[str, Provider]:
    """Every provider by name. `folder` is where relative paths of TLS files begin."""
    named = [(route["providers"], policies.get(route.get("policy", DEFAULT_POLICY))) for route in data["routes"]]
    return MappingProxyType(
        {
            name: provider(name, section, [policy for users, policy in named if policy and name in users], folder)
            for name, section in data["providers"].items()
        }
    )


def provider(name: str, section: Mapping[str, Any], policies: Iterable[Policy], folder: Path) -> Provider:
    """One provider with the defaults of its dialect, and of the policies that it is used with."""
    found = {"name": name, **section}
    found["health"] = {**asdict(strictest(policies)), **section.get("health", {})}
    found["base_url"] = found.get("base_url", "").rstrip("/")
    if found["dialect"] == "pollinations":
        found.setdefault("text_url", POLLINATIONS_TEXT_URL)
        found["image_url"] = found.get("image_url", POLLINATIONS_IMAGE_URL).rstrip("/") + "/"
    local = is_loopback(urlsplit(found["base_url"]).hostname or "")
    found.setdefault("auth", "optional" if local or found["dialect"] == "pollinations" else "required")
    found["tls"] = {key: str(folder / path) for key, path in found.get("tls", {}).items()}
    return structure(Provider, found)


def strictest(policies: Iterable[Policy]) -> HealthSettings:
    """The health settings that check most often; a provider has one health, however many policies it is used with."""
    return min(
        (policy.health for policy in policies),
        key=lambda health: health.interval or math.inf,
        default=HealthSettings(),
    )


def routes(data: Mapping[str, Any]) -> tuple[Route, ...]:
    """The routes in order; header names are compared in lower case."""
    return tuple(_route(section) for section in data["routes"])


def _route(section: Mapping[str, Any]) -> Route:
    match = dict(section["match"])
    match["headers"] = {name.lower(): value for name, value in match.get("headers", {}).items()}
    return structure(Route, {"policy": DEFAULT_POLICY, **section, "match": match})


def policy(name: str, data: Mapping[str, Any]) -> Policy:
    """One policy file."""
    return structure(Policy, {"name": name, **{key: value for key, value in data.items() if key != "version"}})


def structure(wanted: type[Settings], data: Mapping[str, Any]) -> Settings:
    """Fill a frozen dataclass, and those inside it, from plain data whose keys are its fields' names."""
    hints = typing.get_type_hints(wanted)
    return wanted(**{key: _value(hints[key], value) for key, value in data.items()})


def _value(wanted: Any, value: Any) -> Any:  # noqa: ANN401  types and values of every kind pass through
    """Bring one value to the type that its field declares."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is types.UnionType:
        return None if value is None else _value(arguments[0], value)
    if origin is tuple:
        return tuple(_value(arguments[0], item) for item in value)
    if origin is frozenset:
        return frozenset(value)
    if origin is collections.abc.Mapping:
        of_key, of_value = arguments
        return MappingProxyType({_value(of_key, key): _value(of_value, item) for key, item in value.items()})
    if is_dataclass(wanted) and isinstance(value, Mapping):
        return structure(typing.cast("type[Any]", wanted), value)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return wanted(value)
    return value
