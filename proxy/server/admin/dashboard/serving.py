"""The dashboard's files by path. They hold no secret and need no token: what they show, the page asks for with one.

The headers make the page deaf to everything but its own listener: no foreign or inline script, no frame around it, and
no way to turn text into markup (trusted types), so that nothing a provider says can act in the operator's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }
)
"""On every file, beside what the listener says of every answer."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    content_type: str
    body: bytes


def file_at(path: str) -> File | None:
    """Find the file that a raw request path means; None for any path that is not exactly one of them."""
    return _files().get(path)


@cache
def _files() -> Mapping[str, File]:
    """Every file by its path, read when the first one is asked for: a sidecar that nobody looks at reads none."""
    folder = resources.files("proxy.server.admin.dashboard").joinpath("page")
    found = {
        f"/dashboard/{entry.name}": File(_TYPES[entry.name[entry.name.rindex(".") :]], entry.read_bytes())
        for entry in folder.iterdir()
    }
    found["/"] = found.pop("/dashboard/index.html")
    return MappingProxyType(found)
