"""What the commands that talk to a running sidecar have in common: their options, and how answers are shown."""

import argparse
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from proxy.server.admin.client import ADMIN, AdminClient, AskError, Document


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Add the option that says whom to ask."""
    parser.add_argument(
        "--admin",
        default=os.environ.get("SIDESTEP_ADMIN_URL") or ADMIN,
        metavar="URL",
        help="the sidecar's admin listener (default: SIDESTEP_ADMIN_URL, else " + ADMIN + ")",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that talks to a running sidecar."""
    add_admin(parser)
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where that sidecar keeps the token it made")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def ask(arguments: argparse.Namespace, method: str, path: str, document: Document | None = None) -> Document:
    """Ask the sidecar that the options name. Raises AskError."""
    return AdminClient(arguments.admin, state_dir=arguments.state_dir).ask(method, path, document)


def tell(
    arguments: argparse.Namespace,
    method: str,
    path: str,
    show: Callable[[Document], None],
    document: Document | None = None,
) -> int:
    """Ask, and show the answer; return the exit status: 0, or 1 with the reason on stderr."""
    try:
        answer = ask(arguments, method, path, document)
    except AskError as error:
        return complain(error)
    if arguments.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        show(answer)
    return 0


def complain(error: AskError) -> int:
    """Say on stderr what went wrong; return exit status 1."""
    for each in error.problems:
        print(f"{each['file']}:{each['line']}:{each['column']}: {each['message']}", file=sys.stderr)
    print(f"sidestep: {clean(str(error), 500)}", file=sys.stderr)
    return 1


def clean(text: str, limit: int = 100) -> str:
    """Somebody else's words on one line of a terminal: nothing in them may move the cursor."""
    kept = "".join(each if unicodedata.category(each)[0] != "C" else " " for each in text[:limit])
    return kept if len(text) <= limit else f"{kept}..."
