"""Environment references, replaced inside scalar values after parsing, so that a value can never add structure.

    ${NAME}            the variable's value; a problem when it is not set
    ${NAME:-default}   the default when it is not set or empty
    ${NAME:?message}   a problem that says the message when it is not set or empty
    $$                 a dollar sign

Problems name the variable and never show its value.
"""

import re
from collections.abc import Iterator, Mapping

from proxy.config.text import Document, Node, Path, Unreadable
from proxy.errors import Problem

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^}$]*))?\})?", re.ASCII)


class _MissingError(Exception):
    """Why a reference could not be replaced."""


def resolve(document: Document, environment: Mapping[str, str]) -> tuple[Document, list[Problem]]:
    """Replace every reference in every value. A value with a problem becomes `Unreadable`."""
    problems: list[Problem] = []
    root = _resolve(document, (), document.root, environment, problems)
    return Document(document.file, root), problems


def _resolve(
    document: Document, path: Path, node: Node, environment: Mapping[str, str], problems: list[Problem]
) -> Node:
    if isinstance(node.value, dict):
        problems.extend(_keys(document, path, node))
        children = {
            key: _resolve(document, (*path, key), child, environment, problems) for key, child in node.value.items()
        }
        return Node(children, node.place, node.keys)
    if isinstance(node.value, list):
        items = [
            _resolve(document, (*path, index), child, environment, problems) for index, child in enumerate(node.value)
        ]
        return Node(items, node.place)
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    try:
        value, variables = expand(node.value, environment)
    except _MissingError as missing:
        problems.append(document.problem(path, str(missing)))
        return Node(Unreadable(), node.place)
    return Node(value, node.place, variables=variables)


def expand(text: str, environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Replace the references in one text; also return the names that occur in it."""
    names: list[str] = []

    def replace(found: re.Match[str]) -> str:
        dollar, name, operator, word = found.groups()
        if dollar:
            return "$"
        if not name:
            raise _MissingError(
                "a `$` begins a reference: write ${NAME}, ${NAME:-default} or ${NAME:?message}, or $$ for a dollar sign"
            )
        names.append(name)
        return _value(name, operator, word, environment)

    return _REFERENCE.sub(replace, text), tuple(names)


def _value(name: str, operator: str | None, word: str | None, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if operator == "-":
        value = value or word
    if value is None or (operator == "?" and not value):
        said = " ".join((word or "").split()) if operator == "?" else ""
        raise _MissingError(f"the environment variable {name} is not set" + (f": {said!r}" if said else ""))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _MissingError(f"the environment variable {name} is not UTF-8 text") from None
    return value


def _keys(document: Document, path: Path, node: Node) -> Iterator[Problem]:
    for key in node.value:
        if "${" in key:
            yield document.problem(
                (*path, key), "references are replaced in values only; a key is written out", key=True
            )
