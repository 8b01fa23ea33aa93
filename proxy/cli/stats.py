"""`sidestep stats` and `sidestep stats reset`: how many requests there were, and how they went."""

import argparse
from datetime import UTC, datetime

from proxy.cli.client import add_arguments, tell
from proxy.cli.tables import share
from proxy.server.admin.client import Document


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser(
        "stats", help="how many requests, and how they went", description="Show the counts, or begin to count anew."
    )
    parser.add_argument("action", nargs="?", choices=("reset",), help="count from 0")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when there is no answer."""
    if arguments.action == "reset":
        return tell(arguments, "POST", "/admin/stats/reset", show)
    return tell(arguments, "GET", "/admin/stats", show)


def show(stats: Document) -> None:
    """Print one count per line."""
    since = datetime.fromtimestamp(stats["since"], UTC).isoformat(timespec="seconds")
    print(f"since          {since}")
    print(f"requests       {stats['total_requests']}")
    print(f"successful     {stats['successful_requests']} ({share(stats['success_rate'])})")
    print(f"failed over    {stats['failover_count']}")
    for outcome, count in stats["outcomes"].items():
        if outcome != "ok":
            print(f"{outcome:<15}{count}")
    for provider, count in stats["provider_usage"].items():
        print(f"answered by    {provider}: {count}")
