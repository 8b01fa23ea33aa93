"""The event loop that the program runs on, and the interpreter under it."""

import asyncio
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import cast


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed, else asyncio's own loop."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", importlib.import_module("uvloop").new_event_loop)


SWITCH = 0.0001
"""Seconds after which a thread that computes lets the event loop have a turn. Python's own 5 ms, times the turns that
an answer takes, would be felt by every request while a thread reads a new configuration."""
GARBAGE = (5_000, 10, 10)
"""Thresholds of the cyclic collector. Answers leave no cycles, so at the default of 700 it would run for every few of
those that are under way and find nothing: 3 % of the time. Failures do leave some (an exception holds the frames that
hold it), with a request's body in each; much later than this they would be felt."""


def tune_process() -> None:
    """Set up the interpreter for a program that answers many small requests; call it once, when all is imported."""
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()


CLOSING = 0.1
"""Seconds that the event loop gets to close when everything else has ended."""


def end_anyway(status: int, last: Callable[[], object] | None = None, within: float = CLOSING) -> threading.Timer:
    """End the process with this status in so many seconds, `last` done; cancel it when the loop has closed by then.

    A loop waits at its end for every name that is being looked up, because nothing interrupts getaddrinfo(3). A
    name server that is down makes that ten seconds and more, for nobody's good.
    """

    def end() -> None:
        if last is not None:
            last()
        os._exit(status)

    timer = threading.Timer(within, end)
    timer.daemon = True
    timer.start()
    return timer
