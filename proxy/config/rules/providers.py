"""Rules for providers: each can be reached, keeps its key safe, is used, and every key of it has an effect."""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from proxy.config.rules.breakers import breaker_faults
from proxy.config.rules.draft import Draft
from proxy.config.snapshot import Expectation, Provider
from proxy.config.text import Node, Path
from proxy.config.units import is_loopback
from proxy.errors import Problem

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
"""A header's name, RFC 9110 section 5.6.2."""

_PATH = re.compile(r"/[\x21-\x22\x24-\x7e]*", re.ASCII)
"""A request target in origin form, RFC 9112 section 3.2.1: visible, and without a fragment."""

_OURS = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers of framing and connection (RFC 9110, RFC 9112): a fixed value would contradict what is really sent."""

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_POLLINATIONS = frozenset({"chat", "tools", "images"})
_URLS = {"pollinations": ("text_url", "image_url"), "openai": ("base_url",), "openrouter": ("base_url",)}


def used(draft: Draft) -> Iterator[Problem]:
    """A provider that no route names would never get traffic."""
    named = {name for route in draft.snapshot.routes for name in route.providers}
    for name in draft.snapshot.providers:
        if name not in named:
            yield draft.document.problem(
                ("providers", name),
                f"no route uses the provider {name!r}; name it in a route or remove it (to pause it: `enabled: false`)",
                key=True,
            )


def urls(draft: Draft) -> Iterator[Problem]:
    """Each dialect has its own URL keys; a key never travels in clear to another machine."""
    for provider in draft.snapshot.providers.values():
        path: Path = ("providers", provider.name)
        wanted = _URLS[provider.dialect]
        for key in ("base_url", "text_url", "image_url"):
            if key not in wanted and draft.document.has((*path, key)):
                message = f"{key} has no effect: the dialect {provider.dialect} uses {' and '.join(wanted)}"
                yield draft.document.problem((*path, key), message, key=True)
        for key in wanted:
            parts = urlsplit(getattr(provider, key))
            if not parts.netloc:
                message = f"the key {key!r} is missing; the dialect {provider.dialect} needs it"
                yield draft.document.problem(path, message, key=True)
            elif provider.api_key and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                message = "the api_key would travel to another machine in clear; use https"
                yield draft.document.problem((*path, key), message)


def capabilities(draft: Draft) -> Iterator[Problem]:
    """What a provider supports must be possible, and what it is given must serve something that it supports."""
    for provider in draft.snapshot.providers.values():
        path: Path = ("providers", provider.name)
        for index, item in enumerate(_written(draft, (*path, "supports"))):
            if provider.dialect == "pollinations" and item.value not in _POLLINATIONS:
                message = f"the dialect pollinations can only do {', '.join(sorted(_POLLINATIONS))}"
                yield draft.document.problem((*path, "supports", index), message)
            if item.value == "tools" and not provider.supports & {"chat", "responses"}:
                message = "'tools' has no effect without 'chat' or 'responses'"
                yield draft.document.problem((*path, "supports", index), message)
        for capability in sorted(set(provider.rate_limit) - provider.supports):
            message = f"a limit for {capability!r} has no effect: it is not in the provider's `supports`"
            yield draft.document.problem((*path, "rate_limit", capability), message, key=True)
        for key, capability in (("text_url", "chat"), ("image_url", "images"), ("image_models", "images")):
            in_use = capability in provider.supports or (key.endswith("_url") and key not in _URLS[provider.dialect])
            if not in_use and draft.document.has((*path, key)):
                message = f"{key} has no effect: {capability!r} is not in the provider's `supports`"
                yield draft.document.problem((*path, key), message, key=True)


def _written(draft: Draft, path: Path) -> list[Node]:
    """The items of a list as they stand in the file; none when the key is absent."""
    return list(draft.document.node(path).value) if draft.document.has(path) else []


def headers(draft: Draft) -> Iterator[Problem]:
    """Fixed headers must be well-formed and must not touch framing or credentials. Values are checked by their kind."""
    for provider in draft.snapshot.providers.values():
        seen: set[str] = set()
        for name in provider.headers:
            if reason := _header_fault(name, seen):
                yield draft.document.problem(("providers", provider.name, "headers", name), reason, key=True)
            seen.add(name.lower())


def _header_fault(name: str, seen: set[str]) -> str:
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is not a header's name"
    if lower in seen:
        return f"the header {name!r} is given twice"
    if lower in _OURS:
        return f"the header {name!r} follows from what is sent and cannot be fixed"
    if lower in _CREDENTIALS:
        return f"the header {name!r} carries credentials; a key belongs under `api_key`"
    if lower.startswith("x-sidestep-"):
        return f"the header {name!r} is sidestep's own and never sent to a provider"
    return ""


def tls(draft: Draft) -> Iterator[Problem]:
    """TLS settings need a TLS URL, and a private key its certificate. Whether the files are there, `load` looks."""
    for provider in draft.snapshot.providers.values():
        path: Path = ("providers", provider.name, "tls")
        urls = [getattr(provider, key) for key in _URLS[provider.dialect]]
        if draft.document.has(path) and not any(url.startswith("https:") for url in urls):
            yield draft.document.problem(path, "tls has no effect: the provider's URL is plain http", key=True)
        if provider.tls.key_file and not provider.tls.cert_file:
            yield draft.document.problem((*path, "key_file"), "key_file has no effect without cert_file", key=True)


def tuning(draft: Draft) -> Iterator[Problem]:
    """Retries, timeout and breaker, as they come out together with the policies that govern them."""
    for provider in draft.snapshot.providers.values():
        path: Path = ("providers", provider.name)
        policies = list(draft.policies_of(provider.name))
        if not policies:
            continue
        if provider.retries and provider.retries >= max(policy.attempts for policy in policies):
            message = "more retries than the `attempts` of every policy of this provider's routes leave room for"
            yield draft.document.problem((*path, "retries"), message)
        if provider.timeout and provider.timeout > max(policy.timeouts.total for policy in policies):
            yield draft.document.problem((*path, "timeout"), "timeout has no effect: the policy's total ends first")
        for policy in policies:
            merged = replace(policy.breaker, **provider.breaker)
            for key, message in breaker_faults(merged, frozenset(provider.breaker)):
                yield draft.document.problem((*path, "breaker", key), message)


def health(draft: Draft) -> Iterator[Problem]:
    """A check asks one thing, and what it is told is about that thing."""
    for provider in draft.snapshot.providers.values():
        for key, message in _health_faults(provider):
            yield draft.document.problem(("providers", provider.name, "health", key), message)


def _health_faults(provider: Provider) -> Iterator[tuple[str, str]]:
    settings = provider.health
    if settings.path and not _PATH.fullmatch(settings.path):
        yield "path", "is not a path: write /health, in visible ASCII characters"
    if not settings.allow_cost:
        if settings.model:
            yield "model", "model has no effect without `allow_cost: true`: no model is asked"
        return
    if settings.path:
        yield "allow_cost", "allow_cost has no effect: `path` says what is asked"
    elif "chat" not in provider.supports:
        yield "allow_cost", "allow_cost has no effect: 'chat' is not in the provider's `supports`"
    elif settings.expect != Expectation():
        yield "expect", "expect has no effect with `allow_cost`: a completion is judged like any answer"
    elif not (settings.model or provider.models.get("default")):
        yield "allow_cost", "which model? `models` names no default; write it under `health.model`"


def waiting(draft: Draft) -> Iterator[Problem]:
    """A time to wait needs a queue to wait in."""
    for name, provider in draft.snapshot.providers.items():
        path: Path = ("providers", name, "concurrency", "wait")
        if provider.concurrency is not None and not provider.concurrency.queue and draft.document.has(path):
            yield draft.document.problem(path, "wait has no effect: with `queue: 0` nobody waits", key=True)


RULES = (used, urls, capabilities, headers, tls, health, tuning, waiting)
