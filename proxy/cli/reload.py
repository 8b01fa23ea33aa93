"""`sidestep reload`: read the files again now, and say what that changed or why it did not."""

import argparse

from proxy.cli.client import add_arguments, tell
from proxy.server.admin.client import Document


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "reload",
        help="read routes and policies again",
        description="Read the files again now. Bad ones change nothing: their problems are printed, exit status 1.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when the files were refused or there is no answer."""
    return tell(arguments, "POST", "/admin/reload", show)


def show(result: Document) -> None:
    """Print one line per change."""
    lines = [f"{word}: {name}" for word in ("added", "removed", "changed") for name in result[word]]
    lines += [f"needs a restart: {name}" for name in result["needs_restart"]]
    print("\n".join([f"generation {result['generation']} is in force", *(lines or ["nothing changed"])]))
