"""Imports point downwards only: the map in `proxy/__init__.py`, read from the code itself."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "proxy"

LAYERS = [
    {"errors", "messages", "record", "clock", "envelope", "outbox"},
    {"routing", "resilience", "dialects", "config"},
    {"registry"},
    {"pipeline", "telemetry", "transport"},
    {"engine", "statistics"},
    {"server", "cli", "demo", "manager", "reload", "prober", "sensor", "cgroup", "status", "workers"}
    | {"__main__", "__init__"},
]
"""From the words at the bottom to the shells on top. A part may import from any layer below its own."""

WITHIN = {0, 5}
"""Layers whose parts may import one another: the words are one vocabulary, the shells start one another."""

READABLE_BY_ALL = {"proxy.config.snapshot", "proxy.config.secrets"}
"""What a decision may read of another decision's package."""

BESIDE = {("pipeline", "transport")}
"""Arrows within a layer that are meant: the innermost stage sends through the transport."""

HOMES = {
    "aiohttp": {"transport", "server", "manager", "demo", "cli"},
    "aiohttp_retry": {"transport"},
    "httptools": {"transport", "server"},
    "msgspec": {
        "errors",
        "messages",
        "record",
        "resilience",
        "dialects",
        "pipeline",
        "telemetry",
        "transport",
        "server",
    },
    "opentelemetry": {"telemetry"},
    "prometheus_client": {"telemetry"},
    "yaml": {"config"},
    "jsonschema": {"config"},
    "rich": {"cli", "demo"},
    "time": {"clock"},
    "random": {"clock"},
}
"""Which parts may import a module that is not ours; the others get what it gives as an argument or a value."""

IMPURE = {"asyncio", "logging", "threading", "socket", "selectors", "concurrent"}
PURE = LAYERS[0] - {"clock", "outbox"} | LAYERS[1]
"""Parts that decide or describe and never act: they hold none of the `IMPURE` modules."""


@dataclass(frozen=True)
class Import:
    """One import statement: who, whom, and where to look."""

    part: str
    target: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.part} imports {self.target}"


def part_of(module):
    """Name the part that a dotted module of ours belongs to: `proxy.config.units` -> `config`."""
    return [*module.split("."), "__init__"][1]


def imports_of(source, module, place):
    """Read every import of a module's source, those inside functions and `if TYPE_CHECKING` included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place}:{node.lineno}: relative imports hide their direction; write it out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [name if is_ours(name) else node.module for name in names]
        else:
            continue
        found += [Import(part_of(module), target, f"{place}:{node.lineno}") for target in targets]
    return found


def is_ours(name):
    """Tell whether a dotted name is a module or package of this repository, not something defined in one."""
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def all_imports():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(ROOT)
        found += imports_of(path.read_text(), ".".join(place.with_suffix("").parts), str(place))
    return found


def layer_of(part):
    """Return the part's layer, or None for one that has no place on the map."""
    return next((number for number, parts in enumerate(LAYERS) if part in parts), None)


def points_down(arrow):
    """Tell whether one import is allowed by the layers."""
    if arrow.target.split(".")[0] != "proxy":
        return True
    target = part_of(arrow.target)
    here, there = layer_of(arrow.part), layer_of(target)
    if here is None or there is None:
        return False
    if here != there or arrow.part == target:
        return here >= there
    readable = arrow.target in READABLE_BY_ALL or arrow.target.rpartition(".")[0] in READABLE_BY_ALL
    return here in WITHIN or readable or (arrow.part, target) in BESIDE


def at_home(arrow):
    """Tell whether a foreign module is imported where it belongs."""
    module = arrow.target.split(".")[0]
    return arrow.part in HOMES.get(module, {arrow.part}) and not (arrow.part in PURE and module in IMPURE)


def told(arrows, rule):
    """Say what is wrong, an import per line."""
    return "\n".join([rule, *map(str, arrows)])


def test_every_part_of_the_package_has_its_layer():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    strangers = sorted(part for part in parts if layer_of(part) is None)
    assert not strangers, f"{strangers}: give them a layer in tests/test_layers.py and in proxy/__init__.py"


def test_imports_point_downwards_only():
    wrong = [arrow for arrow in all_imports() if not points_down(arrow)]
    assert not wrong, told(wrong, "Imports point downwards, and decisions do not import one another:")


def test_foreign_modules_are_imported_only_where_they_belong():
    wrong = [arrow for arrow in all_imports() if not at_home(arrow)]
    assert not wrong, told(wrong, "Each of these modules has its home (HOMES, IMPURE in this file):")


@pytest.mark.parametrize(
    ("part", "line", "allowed"),
    [
        ("engine", "from proxy.pipeline.build import build", True),
        ("resilience", "from proxy.config.snapshot import BreakerSettings", True),
        ("resilience", "from proxy.config import snapshot", True),
        ("pipeline", "import proxy.transport.session", True),
        ("server", "from proxy.cli import main", True),
        ("resilience", "from proxy.config.units import duration", False),
        ("resilience", "from proxy.routing.candidates import Candidate", False),
        ("routing", "from proxy.registry import Registry", False),
        ("telemetry", "from proxy.pipeline.call import Call", False),
        ("transport", "from proxy.pipeline.call import Call", False),
        ("registry", "from proxy import engine", False),
        ("errors", "from proxy.resilience.outcome import Verdict", False),
        ("routing", "def f():\n    import random", False),
        ("dialects", "import asyncio", False),
        ("record", "from asyncio import sleep", False),
        ("pipeline", "import aiohttp", False),
        ("pipeline", "from opentelemetry.trace import Span", False),
        ("pipeline", "import asyncio", True),
        ("server", "from aiohttp import web", True),
        ("clock", "import time", True),
    ],
)
def test_the_rules_tell_good_imports_from_bad(part, line, allowed):
    (arrow,) = imports_of(line, f"proxy.{part}.example", "example.py")
    assert (points_down(arrow) and at_home(arrow)) is allowed
