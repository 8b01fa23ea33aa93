"""Who may ask the operator's listener: by Host, Origin and token. Pure.

A web page that the operator looks at must not reach it: a page of another origin sends its `Origin`, and one whose name
was rebound to 127.0.0.1 (DNS rebinding) sends its own name as `Host`.
"""

import ipaddress
from collections.abc import Collection

from proxy.config.secrets import Secret
from proxy.config.units import is_loopback
from proxy.errors import ClientError


def host_of(authority: str) -> str | None:
    """The host of `host:port` or `[v6]:port`, port optional: lower-case, without brackets; None for anything else."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        well_formed = bool(bracket) and (not port or port.startswith(":"))
        port = port[1:]
    else:
        host, colon, port = authority.partition(":")
        well_formed = not colon or bool(port)
    if not well_formed or not host or (port and not (port.isascii() and port.isdigit())):
        return None
    return host.lower()


def check_host(authority: str, names: Collection[str], *, addresses: bool = False) -> None:
    """Refuse a Host that is neither loopback nor one of `names`. Raises ClientError 403.

    With `addresses` any IP address will do: a name that was rebound is never one.
    """
    host = host_of(authority)
    if host is None or not (is_loopback(host) or host in names or (addresses and _is_address(host))):
        raise ClientError(
            "this Host is not one of the listener's names (server.admin.hosts)", status=403, code="foreign_host"
        )


def check_origin(origin: str | None, authority: str) -> None:
    """Refuse a page that was not served from here. Raises ClientError 403."""
    if origin is not None and origin.lower() not in {f"http://{authority.lower()}", f"https://{authority.lower()}"}:
        raise ClientError("a page of another origin may not ask here", status=403, code="foreign_origin")


def check_token(authorization: str, token: Secret | None) -> None:
    """Refuse whoever lacks the token, in constant time. Raises ClientError 401."""
    scheme, _, candidate = authorization.partition(" ")
    if token is None or scheme.lower() != "bearer" or not token.matches(candidate.strip()):
        raise ClientError("the admin token is missing or wrong", status=401, code="invalid_admin_token")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
