"""Rules for the listeners: nobody is served by accident."""

from collections.abc import Iterator

from proxy.config.rules.draft import Draft
from proxy.config.snapshot import Server
from proxy.config.text import Path
from proxy.config.units import is_loopback
from proxy.errors import Problem

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  recognised, not listened on


def listening(draft: Draft) -> Iterator[Problem]:
    """The listeners of the files; `refusals` is asked again when the command line moves them."""
    for path, message in refusals(draft.snapshot.server):
        yield draft.document.problem(path, message)


def refusals(server: Server) -> Iterator[tuple[Path, str]]:
    """Why these listeners must not be opened: the key at fault, and the reason."""
    if not server.client_keys and not is_loopback(server.listen.host):
        yield (
            ("server", "listen"),
            "other machines could use your providers: listen on 127.0.0.1, or set server.client_keys",
        )
    data, admin = server.listen, server.admin.listen
    overlapping = data.host == admin.host or _EVERYWHERE & {data.host, admin.host}
    if data.port == admin.port != 0 and overlapping:
        yield ("server", "admin", "listen"), "server.listen has this port already; the admin needs its own"


RULES = (listening,)
