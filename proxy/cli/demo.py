"""`sidestep demo`: the whole story with no key and no network."""

import argparse
import asyncio
import logging
import os

from rich.console import Console

from proxy.clock import SystemClock
from proxy.demo.report import report
from proxy.demo.scene import Pace, set_up
from proxy.demo.screen import Screen
from proxy.demo.serve import serve
from proxy.demo.story import Story

LENGTH = 20.0
"""Seconds."""
SHORTEST, LONGEST = 3.0, 600.0
"""Seconds; in less than the shortest, the breaker's clocks drown in the pauses between two requests."""
SERVING = Pace(open_for=5.0, max_open_for=10.0, ramp=5.0)
"""Slow enough to watch by hand."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "demo",
        help="see it fail over and back, with no key and no network",
        description="Two simulated providers, a real sidecar, an app that asks 50 times a second, and an outage.",
    )
    parser.add_argument("--serve", action="store_true", help="keep it up to play with, until Ctrl-C")
    parser.add_argument("--seconds", type=_length, default=LENGTH, metavar="N", help="length (default: %(default)g)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when the app noticed nothing, 1 when it did; with `--serve`, 0 after Ctrl-C."""
    console = Console()
    logging.getLogger("sidestep").setLevel(logging.CRITICAL)  # the demo tells the same in its own words
    if arguments.serve:
        return asyncio.run(_serve(console))
    return asyncio.run(_play(console, arguments.seconds))


async def _play(console: Console, length: float) -> int:
    async with set_up(SystemClock(), Pace.within(length), os.environ) as scene:
        with Screen(console) as screen:
            summary, cut = await Story(scene, screen, length).play()
    report(console, summary, cut)
    return 0 if summary.good and cut.told else 1


async def _serve(console: Console) -> int:
    async with set_up(SystemClock(), SERVING, os.environ) as scene:
        await serve(scene, console)
    return 0


def _length(text: str) -> float:
    try:
        length = float(text)
    except ValueError:
        length = 0.0
    if not SHORTEST <= length <= LONGEST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return length
