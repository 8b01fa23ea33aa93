"""The event loop that the program runs on."""

import asyncio
import importlib.util
from collections.abc import Callable
from typing import cast


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed, else asyncio's own loop."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", importlib.import_module("uvloop").new_event_loop)
