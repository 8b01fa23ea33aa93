"""docs/configuration.md, written from the schemas: `python -m proxy.config.reference > docs/configuration.md`."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from proxy.config.shape import Schema, expand, kind_of, schema

_OPENING = """\
# Configuration

This page is written from the JSON Schemas by `python -m proxy.config.reference`; the schemas themselves are printed by
`sidestep schema routes` and `sidestep schema policy`.

sidestep reads `routes.yaml` (who listens, which providers there are, what goes where) and one file per policy in
`policies/` beside it (how a route behaves). A policy's name is its file's name without `.yaml`. A route that names no
policy gets `default`; without a `policies/default.yaml`, that is the defaults below.

```yaml
# routes.yaml: the smallest that works
version: 1
providers:
  pollinations:
    dialect: pollinations
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    providers: [pollinations]
```

`sidestep check` tells whether the files are good, with line and column of whatever is not. There are no warnings: a
key that is unknown, written twice, or without effect is a problem. A running sidestep takes a good change over within
two seconds; a bad one changes nothing.

## How values are written

| kind | written | means |
|---|---|---|
| duration | `250ms`, `15s`, `10m`, `1h`; a bare `0` | a time |
| delay | a duration, or `p50`, `p95`, `p99` | a time, or one that a provider's own past tells |
| size | `512B`, `64KiB`, `25MiB`, `1GiB`; a bare `0` | bytes, in powers of 1024 |
| rate | `5/s`, `20/min`, `1000/h` | at most so many in any such period |
| ratio | `50%`, `0.5` | a share |
| address | `127.0.0.1:8080`, `[::1]:8080` | where to listen; port 0 asks the system for a free one |
| url, endpoint | `https://host/path` | http or https; no credentials, query or fragment |
| secret | `${OPENAI_API_KEY:-}` | a key; never shown, never logged |

YAML is read strictly, as YAML 1.2: `no` and `on` are text, `true` and `false` are booleans. Tabs, tags, merge keys,
duplicate keys, several documents, files over 1 MiB, and nesting over 20 levels are problems.

## Environment variables

A reference is replaced inside a value, after the YAML was read, so that a variable can never add structure.

| reference | becomes |
|---|---|
| `${NAME}` | the variable; a problem when it is not set |
| `${NAME:-default}` | the variable, or the default when it is not set or empty |
| `${NAME:?message}` | the variable; when it is not set or empty, a problem that says the message |
| `$$` | a dollar sign |

Put such values in quotes. Where a number or a boolean is wanted, the result is read as one. No message shows a value
that came from the environment.
"""


def write() -> str:
    """The whole page."""
    parts = [_OPENING]
    for name, title in (("routes", "routes.yaml"), ("policy", "policies/*.yaml")):
        root = schema(name)
        parts.append(f"## {title}\n\n{root['description']}\n")
        parts.extend(_sections(title, root, root["$defs"], ""))
    return "\n".join(parts)


def _sections(title: str, part: Schema, definitions: Schema, path: str) -> Iterator[str]:
    """A table of one mapping's keys, then the same for every mapping inside it."""
    required = part.get("required", ())
    children = {key: expand(child, definitions) for key, child in part["properties"].items()}
    rows = ["| key | kind | default | what |", "|---|---|---|---|"]
    rows += [_row(key, child, required=key in required) for key, child in children.items()]
    yield "\n".join(rows) + "\n"
    for key, child in children.items():
        below = _join(path, key)
        for suffix, inner in _mappings(child, definitions):
            yield f"### {title}: `{below}{suffix}`\n\n{inner['description']}\n"
            yield from _sections(title, inner, definitions, f"{below}{suffix}")


def _mappings(part: Schema, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """The mapping with keys of its own that a key leads to: itself, its values or its items."""
    for suffix, inner in (("", part), (".NAME", part.get("additionalProperties")), ("[]", part.get("items"))):
        if inner and "properties" in (found := expand(inner, definitions)):
            yield suffix, found


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _row(key: str, part: Schema, *, required: bool) -> str:
    default = "required" if required else _code(part["default"]) if "default" in part else ""
    kind = kind_of(part) or {"object": "mapping", "array": "list"}.get(part.get("type", ""), "number")
    what = part["description"].replace("|", "\\|")
    choices = part.get("enum") or part.get("items", {}).get("enum")
    if choices:
        what += f" One of {', '.join(_code(choice) for choice in choices)}."
    elif "examples" in part and not _is_default(part):
        what += f" Example: {_code(part['examples'][-1])}."
    return f"| `{key}` | {kind} | {default} | {what} |"


def _is_default(part: Schema) -> bool:
    return "default" in part and part["examples"] == [part["default"]]


def _code(value: Any) -> str:  # noqa: ANN401  any JSON value
    text = value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text.replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    sys.stdout.write(write())
