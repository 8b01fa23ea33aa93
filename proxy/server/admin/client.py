"""Asking a running sidecar's admin listener: one HTTP request, and clear words when it fails.

The token is the one that was given, else `SIDESTEP_ADMIN_TOKEN`, else the one that a sidecar of this user left in the
state directory. It goes to the URL that was named and nowhere else: no proxy is asked and no redirect is followed.
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
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


def segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds."""
    return quote(name, safe="")


@dataclass(frozen=True, slots=True)
class AdminClient:
    """Where a sidecar is managed, and how its token is found. Reads it anew each time: a restart makes another one."""

    url: str = ADMIN
    token: Secret | None = None
    state_dir: Path | None = None
    """Where that sidecar keeps the token it made; None: where it does so by default."""

    def ask(self, method: str, path: str, document: Document | None = None) -> Document:
        """Send one request and return the JSON of a good answer. Blocks. Raises AskError."""
        base, port = _address(self.url)
        headers = {"accept": "application/json"}
        token = self.token or _found_token(self.state_dir, port)
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
    """Split the admin listener's URL into its origin and its port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AskError(f"the admin address is not a URL; it looks like {ADMIN}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise AskError(f"the admin address is not an http URL; it looks like {ADMIN}")
    return f"{parts.scheme}://{parts.netloc}", port or (443 if parts.scheme == "https" else 80)


def _found_token(state_dir: Path | None, port: int) -> Secret | None:
    if value := os.environ.get("SIDESTEP_ADMIN_TOKEN"):
        return Secret(value)
    try:
        return read_token(state_directory(state_dir, os.environ), port)
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
        return AskError(str(document["error"]["message"]), document.get("problems", ()))
    except (AskError, KeyError, TypeError):
        return AskError(f"it answered {status}; {_STRANGER}")
