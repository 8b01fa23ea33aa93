"""Does a file have the shape that its JSON Schema describes? Units are read on the way, by the schema's word.

The schemas in `schema/` are the truth about keys, kinds, bounds and defaults, for editors and for this program alike.
A leaf is a `$ref` to a kind (`#/$defs/duration`). For editors a kind is a pattern that also admits `${...}`; here the
scalar has been read by `kinds` before jsonschema looks at it, so bounds are compared in seconds and bytes.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from proxy.config.kinds import HIDDEN, KINDS, PLAIN, show_limit
from proxy.config.text import Document, Node, Path, Unreadable, plain, short, shown
from proxy.errors import Problem

Schema = Mapping[str, Any]
SCHEMAS = ("routes", "policy")
_PREFIX = "#/$defs/"


def schema_text(name: str) -> str:
    """The JSON Schema (draft 2020-12) of `routes` or `policy`, as it is shipped."""
    return resources.files("proxy.config").joinpath("schema", f"{name}.json").read_text("utf-8")


@cache
def schema(name: str) -> Schema:
    """The same, parsed."""
    parsed: Schema = json.loads(schema_text(name))
    return parsed


def read(document: Document, name: str) -> tuple[Any, list[Problem]]:
    """Check a file against a schema; return plain data with units read, and everything that is wrong with it."""
    problems: list[Problem] = []
    data = _convert(document, (), document.root, schema(name), schema(name)["$defs"], problems)
    for error in _validator(name).iter_errors(data):
        if not _seen(error):
            problems.extend(_translate(document, error))
    return data, problems


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A hint to put behind a message, or nothing when nothing is close."""
    close = difflib.get_close_matches(str(word), sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def kind_of(part: Schema) -> str:
    """The kind that a key's schema refers to; empty for a mapping or a list."""
    name = str(part.get("$ref", "")).removeprefix(_PREFIX)
    return name if name in KINDS else ""


def expand(part: Schema, definitions: Schema) -> Schema:
    """Follow a reference to a definition that is no kind."""
    if "$ref" in part and not kind_of(part):
        return {**definitions[part["$ref"].removeprefix(_PREFIX)], **part}
    return part


@cache
def _validator(name: str) -> Draft202012Validator:
    definitions = {key: True if key in KINDS else value for key, value in schema(name)["$defs"].items()}
    return Draft202012Validator({**schema(name), "$defs": definitions})


def _convert(
    document: Document, path: Path, node: Node, part: Schema, definitions: Schema, problems: list[Problem]
) -> Any:  # noqa: ANN401  what a file holds is of every type
    """Plain data of a node, with every scalar read by its kind; what cannot be read is reported and `Unreadable`."""
    part = expand(part, definitions)
    if kind := kind_of(part):
        try:
            return read_scalar(kind, node)
        except ValueError as error:
            problems.append(document.problem(path, f"{_show(node, kind)} {error}"))
            return Unreadable()
    if isinstance(node.value, dict):
        known = part.get("properties", {})
        rest = part.get("additionalProperties") or {}
        return {
            key: _convert(document, (*path, key), child, known.get(key, rest), definitions, problems)
            for key, child in node.value.items()
        }
    if isinstance(node.value, list):
        item = part.get("items", {})
        return [
            _convert(document, (*path, index), child, item, definitions, problems)
            for index, child in enumerate(node.value)
        ]
    return node.value


def read_scalar(kind: str, node: Node) -> Any:  # noqa: ANN401
    """Read one scalar; text from the environment may also be a number or a boolean. Raises ValueError."""
    value = node.value
    if isinstance(value, Unreadable):
        return value
    if value is None:
        raise ValueError("is missing; write a value or remove the key")
    if isinstance(value, dict | list):
        raise ValueError("is not a single value")  # noqa: TRY004  every kind raises ValueError
    if node.variables and kind in PLAIN:
        value = plain(value.strip())
    return KINDS[kind](value)


def _show(node: Node, kind: str) -> str:
    """Name a value in a message: by the variables that it was made from, or as it stands when it is no secret."""
    bare = kind in HIDDEN or node.value is None or isinstance(node.value, dict | list)
    return "the value" if bare and not node.variables else shown(node)


def _seen(error: ValidationError) -> bool:
    """Whether the error is about a value that was reported already."""
    return isinstance(error.instance, Unreadable)


def _translate(document: Document, error: ValidationError) -> Iterator[Problem]:
    """One jsonschema error in our own words, at its line and column. Never repeats a value that may be secret."""
    path: Path = tuple(error.absolute_path)
    rule: str = str(error.validator)
    wanted: Any = error.validator_value
    part: Any = error.schema
    found: Any = error.instance
    if rule == "additionalProperties":
        known = part["properties"]
        for key in sorted(set(found) - set(known)):
            yield document.problem((*path, key), f"unknown key {short(key)}{did_you_mean(key, known)}", key=True)
    elif rule == "required":
        for key in sorted(set(wanted) - set(found)):
            yield document.problem(path, f"the key {key!r} is missing")
    elif "propertyNames" in error.absolute_schema_path:
        yield document.problem((*path, found), f"the name {short(found)} {_NAME}", key=True)
    elif rule == "enum":
        yield document.problem(path, _not_one_of(document.node(path), wanted, part))
    else:
        yield document.problem(path, _describe(rule, wanted, kind_of(part), document.node(path)))


_NAME = "is not allowed; use letters, digits, `.`, `_` and `-`, at most 64 of them"
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_TYPES = {"object": "a mapping (`key: value`)", "array": "a list (`[a, b]`)", "string": "text"}


def _not_one_of(node: Node, wanted: list[Any], part: Schema) -> str:
    hint = "" if node.variables else did_you_mean(node.value, map(str, wanted))
    return f"{_show(node, kind_of(part))} is not one of {', '.join(map(str, wanted))}{hint}"


def _describe(rule: str, wanted: Any, kind: str, node: Node) -> str:  # noqa: ANN401  a bound, a type, a constant
    if rule in _BOUNDS:
        return f"{_show(node, kind)} must be {_BOUNDS[rule]} {show_limit(kind, wanted)}"
    if rule == "type":
        missing = "a value is missing; it" if node.value is None else "the value"
        return f"{missing} must be {_TYPES[wanted]}"
    if rule == "const":
        return f"the value must be {wanted}"
    if rule == "pattern":
        return f"{_show(node, kind)} {_NAME}"
    return {
        "minItems": "the list is empty",
        "uniqueItems": "the list holds something twice",
        "minProperties": "the mapping is empty",
        "maxProperties": "only one of these keys can be given",
        "minLength": "the value is empty",
        "maxLength": f"the value is longer than {wanted} characters",
    }[rule]
