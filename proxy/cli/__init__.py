"""The command `sidestep`: one module per command, each with `add_parser(subparsers)`."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

COMMANDS = ("run", "check", "schema", "demo", "health")
"""Names of the commands, and of the modules here that hold them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="sidestep",
        description="A sidecar reverse proxy for AI providers: an answer from a provider that works.",
    )
    parser.add_argument("--version", action="version", version=f"sidestep {version('sidestep')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"proxy.cli.{name}").add_parser(subparsers)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return 130
