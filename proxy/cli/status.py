"""`sidestep status`: what a running sidecar knows about its providers and routes."""

import argparse

from proxy.cli.client import add_arguments, clean, tell
from proxy.cli.tables import console, providers_table, routes_table, summary
from proxy.server.admin.client import Document


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "status", help="what a running sidecar knows", description="Show providers and routes as they are now."
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when there is no answer."""
    return tell(arguments, "GET", "/admin/status", show)


def show(status: Document) -> None:
    """Print the summary and both tables."""
    out = console()
    out.print(summary(status), highlight=False, markup=False)
    for problem in status["reload"]["problems"]:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}"
        out.print(clean(f"{place}: {problem['message']}"), highlight=False, markup=False)
    for table in (providers_table(status), routes_table(status)):
        out.print()
        out.print(table)
