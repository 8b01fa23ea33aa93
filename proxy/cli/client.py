"""How the commands ask a running sidecar: one HTTP request to its admin listener, and clear words when it fails.

The token is `SIDESTEP_ADMIN_TOKEN`, else the one that a sidecar of this user left in the state directory. It goes to
the URL that was named and nowhere else: no proxy is asked and no redirect is followed.
"""

import argparse
import http.client
import json
import os
import sys
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from proxy.config.secrets import Secret
from proxy.server.admin.token_file import StateError, read_token, state_directory

ADMIN = "http://127.0.0.1:8081"
TIMEOUT = 30.0
"""Seconds; a check waits for its provider."""
LONGEST = 16 * 1024 * 1024
"""Bytes of an answer that are read."""

_STRANGER = "is this a sidestep's admin listener?"

Document = dict[str, Any]


class AskError(Exception):
    """There is no good answer; the message says why. `problems` are those of a refused configuration."""

    def __init__(self, message: str, problems: Sequence[Document] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other, and not a good one."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def opener() -> urllib.request.OpenerDirector:
    """Open URLs as they stand, past any proxy of the environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that talks to a running sidecar."""
    parser.add_argument(
        "--admin", default=ADMIN, metavar="URL", help="the sidecar's admin listener (default: %(default)s)"
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where that sidecar keeps the token it made")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def tell(
    arguments: argparse.Namespace,
    method: str,
    path: str,
    show: Callable[[Document], None],
    document: Document | None = None,
) -> int:
    """Ask, and show the answer; return the exit status: 0, or 1 with the reason on stderr."""
    try:
        answer = ask(arguments, method, path, document)
    except AskError as error:
        return complain(error)
    if arguments.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        show(answer)
    return 0


def complain(error: AskError) -> int:
    """Say on stderr what went wrong; return exit status 1."""
    for each in error.problems:
        print(f"{each['file']}:{each['line']}:{each['column']}: {each['message']}", file=sys.stderr)
    print(f"sidestep: {error}", file=sys.stderr)
    return 1


def clean(text: str, limit: int = 100) -> str:
    """Somebody else's words on one line of a terminal: nothing in them may move the cursor."""
    kept = "".join(each if unicodedata.category(each)[0] != "C" else " " for each in text[:limit])
    return kept if len(text) <= limit else f"{kept}..."


def segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds."""
    return quote(name, safe="")


def ask(arguments: argparse.Namespace, method: str, path: str, document: Document | None = None) -> Document:
    """Send one request and return the JSON of a good answer. Raises AskError."""
    base, port = _address(arguments.admin)
    headers = {"accept": "application/json"}
    token = _token(arguments.state_dir, port)
    if token is not None:
        headers["authorization"] = f"Bearer {token.reveal()}"
    body = None
    if document is not None:
        body = json.dumps(document).encode()
        headers["content-type"] = "application/json"
    request = urllib.request.Request(base + path, data=body, headers=headers, method=method)  # noqa: S310  checked
    try:
        with opener().open(request, timeout=TIMEOUT) as answer:
            if answer.headers.get("server") != "sidestep":
                raise AskError(_STRANGER)
            return _document(answer.read(LONGEST))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error.code, error.read(LONGEST), known=token is not None) from None
    except (OSError, http.client.HTTPException) as error:
        raise AskError(f"{base} is not reachable: {getattr(error, 'reason', error)}") from None


def _address(url: str) -> tuple[str, int]:
    """Split `--admin` into its origin and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AskError("--admin is not a URL; it looks like http://127.0.0.1:8081") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise AskError("--admin is not an http URL; it looks like http://127.0.0.1:8081")
    return f"{parts.scheme}://{parts.netloc}", port or (443 if parts.scheme == "https" else 80)


def _token(chosen: Path | None, port: int) -> Secret | None:
    if value := os.environ.get("SIDESTEP_ADMIN_TOKEN"):
        return Secret(value)
    try:
        return read_token(state_directory(chosen, os.environ), port)
    except StateError as error:
        raise AskError(str(error)) from None


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AskError(_STRANGER)
    return document


def _refusal(status: int, body: bytes, *, known: bool) -> AskError:
    """Put a bad status in words."""
    if status == 401:
        remedy = "set SIDESTEP_ADMIN_TOKEN to the one in its configuration"
        return AskError(f"the token is wrong; {remedy}" if known else f"no token was found; {remedy}")
    try:
        document = _document(body)
        return AskError(clean(str(document["error"]["message"]), 500), document.get("problems", ()))
    except (AskError, KeyError, TypeError):
        return AskError(f"it answered {status}; {_STRANGER}")
