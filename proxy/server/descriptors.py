"""Open files: as many as the system grants, only connections that fit into them, and one line when they run out."""

import asyncio
import errno
import logging
import resource
from math import inf
from typing import Any

RESERVE = 64
"""Descriptors for everything but connections: listeners, files, the event loop, name look-ups."""
PER_CLIENT = 2
"""A client's connection needs another one to a provider while it is answered."""
REPEAT = 1.0
"""Seconds between two lines about the same trouble; asyncio reports every connection that it could not accept."""

_OUT = frozenset({errno.EMFILE, errno.ENFILE})

logger = logging.getLogger("sidestep.server")


def raise_limit() -> None:
    """Ask for all open files that we may have. The soft limit is 1024 almost everywhere, for the sake of `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room() -> float:
    """Return how many client connections fit, so that each still gets its provider."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if soft == resource.RLIM_INFINITY else max(1, (soft - RESERVE) // PER_CLIENT)


def report_shortage(loop: asyncio.AbstractEventLoop) -> None:
    """Tell of connections that no descriptor was left for in one line a second; all other mishaps as ever."""
    told = -inf

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT:
            loop.default_exception_handler(context)
        elif loop.time() - told >= REPEAT:
            told = loop.time()
            logger.error("no file descriptor is left for new connections; they wait")

    loop.set_exception_handler(handle)
