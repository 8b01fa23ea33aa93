"""`sidestep run`: the options. What they bring about is in `serving`, which takes a while to import."""

import argparse
import gc
from pathlib import Path

from proxy.config.snapshot import Address

MOST_WORKERS = 64


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser("run", help="serve", description="Serve until SIGTERM or SIGINT.")
    parser.add_argument("--routes", type=Path, default=Path("routes.yaml"), metavar="FILE", help="default: routes.yaml")
    parser.add_argument("--policies", type=Path, metavar="DIR", help="default: policies/ beside the routes file")
    parser.add_argument("--listen", type=_address, metavar="HOST:PORT", help="wins over server.listen")
    parser.add_argument("--admin", type=_address, metavar="HOST:PORT", help="wins over server.admin.listen")
    parser.add_argument(
        "--workers", type=_workers, default=1, metavar="N", help="processes that serve (default: %(default)s)"
    )
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where an admin token is kept when none is configured"
    )
    parser.add_argument("--log-format", choices=("json", "console"), default="json")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve; return the exit status: 0 after an orderly end, 1 or 2 for the configuration, 3 for a taken port."""
    gc.disable()  # imports leave hardly any garbage; what there is, `tune_process` collects, and turns this on again
    if arguments.workers == 1:
        from proxy.cli.serving import run_alone  # noqa: PLC0415  what workers wait for below

        return run_alone(arguments)
    # They are started first, so that they import while this process does: most of the time that a start takes.
    from proxy.workers.hiring import hire  # noqa: PLC0415

    hired = [hire() for _ in range(arguments.workers)]
    try:
        from proxy.cli.serving import run_with  # noqa: PLC0415

        return run_with(hired, arguments)
    finally:
        for each in hired:
            each.dismiss()


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST_WORKERS}")
    return int(text)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return Address(host.strip("[]"), int(port))
