"""`sidestep overrides reset`: take back everything that was done by hand."""

import argparse

from proxy.cli.client import add_arguments, tell
from proxy.cli.status import show


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "overrides",
        help="take back what was done by hand",
        description="Go back to what the files say: providers enabled or disabled and strategies chosen by hand.",
    )
    parser.add_argument("action", choices=("reset",))
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when there is no answer."""
    return tell(arguments, "POST", "/admin/overrides/reset", show)
