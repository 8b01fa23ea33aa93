"""`sidestep strategy ROUTE NAME`: another order of asking, by hand."""

import argparse

from proxy.cli.client import add_arguments, tell
from proxy.config.snapshot import StrategyName
from proxy.server.admin.client import Document, segment


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "strategy",
        help="give a route another strategy",
        description="Choose how a route orders its providers. It holds until it is taken back or the sidecar ends.",
    )
    parser.add_argument("route", metavar="ROUTE")
    parser.add_argument("name", metavar="NAME", choices=[each.value for each in StrategyName], help="%(choices)s")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when there is no answer."""
    path = f"/admin/routes/{segment(arguments.route)}/strategy"
    return tell(arguments, "PUT", path, show, {"strategy": arguments.name})


def show(route: Document) -> None:
    """Print what holds now."""
    configured = f" (configured: {route['configured_strategy']})" if route["overridden"] else ""
    print(f"{route['route']}: {route['strategy']}{configured}")
