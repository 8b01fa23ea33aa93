"""routes.yaml and policies for tests: real files, with clocks short enough to wait for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.ports import unused_port
from lab.upstream import Upstream

Document = dict[str, Any]

CHAT = "/v1/chat/completions"
ROUTES = {
    CHAT: "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/images/generations": "images",
}
"""Path -> capability, and the name of the route that `routes` makes of it."""
QUICK: Document = {
    "attempts": 4,
    "timeouts": {"connect": "200ms", "first_output": "1s", "idle": "400ms", "total": "5s"},
    "retry": {"backoff": {"base": "1ms", "max": "2ms"}},
    "recovery": {"ramp": "0s"},
    "health": {"interval": "0s"},
}
"""A policy whose every clock a test can wait for."""


def provider(upstream: Upstream, **changes: Any) -> Document:
    """Describe a lab upstream as a provider, by its flavour; it supports whatever the lab speaks."""
    if upstream.voice.flavour == "pollinations":
        fields: Document = {"dialect": "pollinations", "text_url": f"{upstream.url}/openai"}
        fields |= {"image_url": f"{upstream.url}/prompt/", "supports": ["chat", "tools", "images"]}
    else:
        fields = {"dialect": "openai", "base_url": f"{upstream.url}/v1"}
        fields |= {"supports": ["chat", "tools", "embeddings", "images", "completions"]}
    return fields | changes


def refusing(**changes: Any) -> Document:
    """Describe a provider at whose port nobody listens."""
    url = f"http://127.0.0.1:{unused_port()}/v1"
    return {"dialect": "openai", "base_url": url, "supports": ["chat", "tools", "embeddings"]} | changes


def routes(providers: Mapping[str, Upstream | Document], *paths: str, **sections: Any) -> Document:
    """Build routes.yaml: the providers in order of priority, and a route over all of them for each path (chat)."""
    described = {
        name: {"priority": place} | (provider(each) if isinstance(each, Upstream) else each)
        for place, each in enumerate(providers.items(), 1)
        for name, each in [each]
    }
    entries = []
    for path in paths or (CHAT,):
        able = [name for name, each in described.items() if ROUTES[path] in each["supports"]]
        entries.append({"name": ROUTES[path], "match": {"path": path}, "providers": able})
    listeners: Document = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
    server = listeners | {"drain": {"delay": "0s", "timeout": "5s"}} | sections.pop("server", {})
    return {"version": 1, "server": server, "providers": described, "routes": entries} | sections


def write(folder: Path, documents: Document, policy: Document) -> Path:
    """Write the files (JSON is YAML) and return the routes file. `policy` changes `QUICK`, section by section."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "default.yaml").write_text(json.dumps({"version": 1, **QUICK, **policy}, indent=2))
    file = folder / "routes.yaml"
    file.write_text(json.dumps(documents, indent=2))
    return file
