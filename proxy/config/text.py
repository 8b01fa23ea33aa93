"""Strict YAML: bytes in, a tree out that knows the line and column of every key and value.

Scalars follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so `no`, `on` and `12:30` are
text. What makes YAML surprising is refused: tags, merge keys, duplicate keys, several documents, tabs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from proxy.errors import Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000
"""Values in one file, aliases counted as often as they are used: what stops an alias bomb."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile("[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 40
_LONGEST_SHOWN = 60

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]
"""Keys and indexes from the root to a value."""


class Place(NamedTuple):
    """Where something stands in its file; both count from 1."""

    line: int
    column: int


class Unreadable:
    """Stands where a value was reported as wrong already, so that nobody reports it twice."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file: a scalar, a `dict[str, Node]`, a `list[Node]` or `Unreadable`."""

    value: Any
    place: Place
    keys: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    """For a mapping: where each key stands."""
    variables: tuple[str, ...] = ()
    """Environment variables that the value was made from; such a value is never shown."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's tree, and how to point into it."""

    file: str
    root: Node

    def has(self, path: Path) -> bool:
        """Whether the file itself says something at this path."""
        return self._walk(path)[1] == len(path)

    def node(self, path: Path) -> Node:
        """The node at this path, or the closest one above it that the file holds."""
        return self._walk(path)[0]

    def quote(self, path: Path) -> str:
        """Name the scalar at this path in a message; one from the environment only by its variables."""
        return shown(self.node(path))

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """Point at the value at this path (or at its key), or at the closest thing above it that the file holds."""
        node, steps = self._walk(path)
        if key and steps == len(path) and path:
            place = self.node(path[:-1]).keys.get(str(path[-1]), node.place)
        else:
            place = node.place
        return Problem(self.file, place.line, place.column, message)

    def _walk(self, path: Path) -> tuple[Node, int]:
        node = self.root
        for steps, step in enumerate(path):
            inside = isinstance(node.value, dict) and step in node.value
            inside = inside or (isinstance(node.value, list) and isinstance(step, int) and step < len(node.value))
            if not inside:
                return node, steps
            node = node.value[step]
        return node, len(path)


def shown(node: Node) -> str:
    """A scalar for a message: as it stands in the file, shortened, or by the variables that it was made from."""
    if node.variables:
        return f"the value made from {', '.join(dict.fromkeys(node.variables))}"
    return short(node.value)


def short(value: object) -> str:
    """A value in quotes, cut where it would fill a screen."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def parse(file: str, data: bytes) -> tuple[Document, list[Problem]]:
    """Read one file. Never raises for what stands in it; after a problem the tree may hold `Unreadable` values."""
    builder = _Builder(file)
    try:
        text = _decode(data)
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _RefusedError as refused:
        builder.report(refused.place, str(refused))
    except yaml.MarkedYAMLError as error:
        builder.report(_place(error.problem_mark or error.context_mark), _explain(error, text))
    if builder.problems:
        return Document(file, builder.root or Node(Unreadable(), Place(1, 1))), builder.problems
    return Document(file, builder.root or Node(None, Place(1, 1))), []


def plain(text: str) -> Scalar:
    """What an unquoted scalar means in YAML 1.2's core schema. Raises ValueError for a number beyond all use."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _LONGEST_NUMBER:
            raise ValueError(f"is a number of {len(text)} digits")
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_A_NUMBER.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


class _RefusedError(Exception):
    """The file is refused at this place; reading on would only find consequences."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    place: Place
    value: dict[str, Node] | list[Node]
    anchor: str | None
    keys: dict[str, Place] = field(default_factory=dict)
    key: str | None = None
    """The key whose value comes next."""
    skip: bool = False
    """The next value belongs to a key that was refused."""
    size: int = 1
    height: int = 1


class _Builder:
    """Builds the tree from parser events, without recursion, so that no depth of nesting can hurt."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._nodes = 0

    def report(self, place: Place, message: str) -> None:
        self.problems.append(Problem(self.file, place.line, place.column, message))

    def take(self, event: yaml.Event) -> None:
        place = _place(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise _RefusedError(place, "a second document starts here; a file holds one")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            self.report(place, "a tag (`!...`) is not allowed; write the plain value")
        if isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), place)
        elif isinstance(event, yaml.ScalarEvent):
            self._count(place, 1)
            self._add(self._scalar(event, place), 1, 0, event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._count(place, 1)
            if len(self._stack) >= MAX_DEPTH:
                raise _RefusedError(place, f"nested deeper than {MAX_DEPTH} levels")
            self._stack.append(_Open(place, {} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._stack.pop()
            self._add(Node(done.value, done.place, done.keys), done.size, done.height, done.anchor)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Node:
        if not event.implicit[0]:
            return Node(event.value, place)
        try:
            return Node(plain(event.value), place)
        except ValueError as error:
            self.report(place, f"the value {error}")
            return Node(Unreadable(), place)

    def _alias(self, anchor: str, place: Place) -> None:
        if anchor not in self._anchors:
            raise _RefusedError(place, "this alias refers to no value that ended before it")
        node, size, height = self._anchors[anchor]
        self._count(place, size)
        if len(self._stack) + height > MAX_DEPTH:
            raise _RefusedError(place, f"nested deeper than {MAX_DEPTH} levels")
        self._add(node, size, height, None)

    def _count(self, place: Place, size: int) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise _RefusedError(place, f"more than {MAX_NODES} values, aliases included")

    def _add(self, node: Node, size: int, height: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size, height)
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        top.size += size
        top.height = max(top.height, height + 1)
        if isinstance(top.value, list):
            top.value.append(node)
        elif top.skip:
            top.skip = False
        elif top.key is None:
            self._key(top, node)
        else:
            top.value[top.key] = node
            top.key = None

    def _key(self, top: _Open, node: Node) -> None:
        """Take a mapping's key; after a bad one its value is skipped and reading goes on."""
        top.skip = True
        if not isinstance(node.value, str):
            self.report(node.place, "a key must be text; put it in quotes")
        elif node.value == "<<":
            self.report(node.place, "merge keys (`<<`) are not allowed; write the keys out")
        elif node.value in top.keys:
            self.report(
                node.place, f"duplicate key {short(node.value)}; the first is in line {top.keys[node.value].line}"
            )
        else:
            top.skip = False
            top.key = node.value
            top.keys[node.value] = node.place


def _decode(data: bytes) -> str:
    """Bytes to text, or the first place that is not text that a person should have to read."""
    if len(data) > MAX_BYTES:
        raise _RefusedError(Place(1, 1), f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _RefusedError(_at_the_end_of(data[: error.start].decode("utf-8")), "not UTF-8 text") from None
    if bad := _FORBIDDEN.search(text):
        where = _at_the_end_of(text[: bad.start()])
        if bad.group() == "\t":
            raise _RefusedError(where, "a tab; indent with spaces, and inside double quotes write \\t")
        raise _RefusedError(where, f"the character U+{ord(bad.group()):04X} is not allowed in a text file")
    return text


def _at_the_end_of(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _place(mark: Any) -> Place:  # noqa: ANN401  the C and the Python parser have each their own class
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    if "nesting" in str(error.problem):  # libyaml's own bound, far beyond ours, met while it reads ahead
        return f"nested deeper than {MAX_DEPTH} levels"
    parts = [part for part in (error.problem, error.context) if part]
    lines = text.split("\n")
    line = _place(error.problem_mark).line
    hint = "; a value that holds ${...} needs quotes" if line <= len(lines) and "${" in lines[line - 1] else ""
    return f"not valid YAML: {', '.join(parts)}{hint}"
