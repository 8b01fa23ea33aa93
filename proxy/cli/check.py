"""`sidestep check`: is this configuration good? Offline, and never with a traceback."""

import argparse
import os
import sys
from pathlib import Path

from proxy.config.load import load
from proxy.config.snapshot import Snapshot
from proxy.errors import ConfigError

GOOD, PROBLEMS, UNREADABLE = 0, 1, 2


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the program's parser."""
    parser = subparsers.add_parser(
        "check",
        help="validate routes and policies",
        description="Validate routes and policies offline. Exit status: 0 good, 1 problems, 2 a file cannot be read.",
    )
    parser.add_argument("--routes", type=Path, default=Path("routes.yaml"), metavar="FILE", help="default: routes.yaml")
    parser.add_argument("--policies", type=Path, metavar="DIR", help="default: policies/ beside the routes file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every problem on stderr, or one line about what was found on stdout; return the exit status."""
    try:
        snapshot = load(arguments.routes, arguments.policies, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return UNREADABLE if error.unreadable else PROBLEMS
    sys.stdout.write(f"{arguments.routes}: {summary(snapshot)}\n")
    return GOOD


def summary(snapshot: Snapshot) -> str:
    """The configuration in one line."""
    counts = (
        _count(len(snapshot.providers), "provider"),
        _count(len(snapshot.routes), "route"),
        f"{len(snapshot.policies)} {'policy' if len(snapshot.policies) == 1 else 'policies'}",
    )
    idle = [provider.name for provider in snapshot.providers.values() if provider.enabled and not provider.configured]
    without = f" (no key, so no traffic: {', '.join(idle)})" if idle else ""
    return f"good, {', '.join(counts)}, generation {snapshot.generation}{without}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
