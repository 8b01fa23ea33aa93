"""`sidestep health`: is the sidecar ready? For a container's HEALTHCHECK."""

import argparse
import sys
import urllib.error

from proxy.cli.client import add_admin
from proxy.server.admin.client import opener

TIMEOUT = 3.0
"""Seconds; a probe that takes longer is as good as none."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser("health", help="exit 0 when ready", description="Ask a running sidecar's /readyz.")
    add_admin(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when ready, 1 when not, and say why."""
    url = arguments.admin.rstrip("/") + "/readyz"
    if not url.startswith(("http://", "https://")):
        print(f"'{arguments.admin}' is not an http URL", file=sys.stderr)
        return 1
    try:
        with opener().open(url, timeout=TIMEOUT):
            print("ready")
            return 0
    except urllib.error.HTTPError as error:
        print(f"not ready: {error.code}", file=sys.stderr)
    except OSError as error:
        print(f"not reachable: {getattr(error, 'reason', error)}", file=sys.stderr)
    return 1
