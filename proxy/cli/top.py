"""`sidestep top`: status and the last requests, live, until Ctrl-C."""

import argparse
import threading

from rich.console import Group
from rich.live import Live
from rich.text import Text

from proxy.cli.client import add_arguments, ask, complain
from proxy.cli.tables import console, providers_table, requests_table, summary
from proxy.server.admin.client import AskError, Document

SHOWN = 15
"""Requests below the providers."""
FASTEST = 0.1


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "top", help="the same, live", description="Watch providers and requests until Ctrl-C."
    )
    add_arguments(parser)
    parser.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after so many looks (default: never)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 after the last look, 1 when the sidecar stops answering."""
    pause = threading.Event()
    out = console()
    looks = 0
    try:
        with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
            while True:
                live.update(_screen(arguments), refresh=True)
                looks += 1
                if looks == arguments.count:
                    return 0
                pause.wait(arguments.interval)
    except AskError as error:
        return complain(error)


def _screen(arguments: argparse.Namespace) -> Group:
    status: Document = ask(arguments, "GET", "/admin/status")
    requests = ask(arguments, "GET", "/admin/requests")["requests"][:SHOWN]
    blank = Text("")
    return Group(Text(summary(status)), blank, providers_table(status), blank, requests_table(requests))


def _interval(text: str) -> float:
    try:
        interval = float(text)
    except ValueError:
        interval = 0.0
    if not FASTEST <= interval <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from {FASTEST} to 3600")
    return interval
