"""The token that is made at start when none is configured: a file that only its user can read, named by the admin port.

The sidecar writes it, the commands of the same user find it by the port in `--admin URL`. The folder must be the
user's own: in one that others can write to, somebody else's token could be planted.
"""

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from proxy.config.secrets import Secret

_BYTES = 32
_LONGEST = 1024


class StateError(Exception):
    """The state directory or the file in it is not fit to hold a token; the message says why and what to do."""


def state_directory(chosen: Path | None, environment: Mapping[str, str]) -> Path:
    """`--state-dir`, else `$XDG_RUNTIME_DIR/sidestep`, else `~/.local/state/sidestep` (XDG base directories)."""
    if chosen is not None:
        return chosen
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "sidestep"
    state = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    return Path(state) / "sidestep"


def token_file(directory: Path, port: int) -> Path:
    """Where the token of the sidecar with this admin port is kept."""
    return directory / f"admin-{port}.token"


def make_token(directory: Path, port: int) -> Secret:
    """Write a new token, mode 0600, in place of an older one. Blocks. Raises StateError."""
    value = secrets.token_urlsafe(_BYTES)
    file = token_file(directory, port)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(directory)
        # Written beside and renamed, so that nobody reads half of it, and O_EXCL, so that no link is followed.
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
        fresh.replace(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StateError(f"cannot write a token in {directory}: {reason}; {_REMEDY}") from error
    return Secret(value)


def read_token(directory: Path, port: int) -> Secret | None:
    """Read the token of a sidecar of this user; None when there is none. Blocks. Raises StateError."""
    file = token_file(directory, port)
    try:
        _check_owner(directory)
        with file.open(encoding="ascii", errors="replace") as stream:
            value = stream.read(_LONGEST).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror or type(error).__name__}") from error
    return Secret(value) if value else None


def remove_token(directory: Path, port: int, token: Secret) -> None:
    """Remove the file at the end, unless another sidecar has taken the port over. Blocks; never fails."""
    try:
        if read_token(directory, port) == token:
            token_file(directory, port).unlink()
    except (OSError, StateError):
        return  # a token that nobody takes any more does no harm


_REMEDY = "set server.admin.token, or choose another directory with --state-dir"


def _check_owner(directory: Path) -> None:
    """Refuse a folder that is somebody else's, or that anybody can write to. Raises StateError."""
    found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{directory} is not a directory; {_REMEDY}")
    if found.st_uid != os.geteuid():
        raise StateError(f"{directory} belongs to another user; {_REMEDY}")
    if found.st_mode & stat.S_IWOTH:
        raise StateError(f"{directory} can be written to by anybody (chmod o-w); {_REMEDY}")
