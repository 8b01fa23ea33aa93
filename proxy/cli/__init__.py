"""The command `sidestep`: one module per command, each with `add_parser(subparsers)`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

COMMANDS = (
    "run",
    "check",
    "schema",
    "demo",
    "status",
    "stats",
    "top",
    "providers",
    "strategy",
    "overrides",
    "reload",
    "health",
)
"""Names of the commands, and of the modules here that hold them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="sidestep",
        description="A sidecar reverse proxy for AI providers: an answer from a provider that works.",
    )
    parser.add_argument("--version", action="version", version=f"sidestep {version('sidestep')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    given = sys.argv[1:] if arguments is None else arguments
    # Only the command that was named is imported: a container's health check runs every few seconds.
    for name in [word for word in given[:1] if word in COMMANDS] or COMMANDS:
        import_module(f"proxy.cli.{name}").add_parser(subparsers)
    chosen = parser.parse_args(given)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return 130
