"""`sidestep run`: serve until a signal says stop."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from aiohttp import http_parser

from proxy.cli.loop import loop_factory
from proxy.config.rules.server import refusals
from proxy.config.snapshot import Address, Snapshot
from proxy.errors import ConfigError
from proxy.reload import Source
from proxy.server import descriptors
from proxy.server.admin.token_file import state_directory
from proxy.server.listening import ListenError
from proxy.server.sidecar import Sidecar
from proxy.telemetry.log_writer import LogWriter, write_shared
from proxy.telemetry.logs import Closer, configure

EXIT_CONFIG = 1
EXIT_UNREADABLE = 2
EXIT_LISTEN = 3
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
    """Load, serve, drain. Returns 0 after an orderly end, 1 or 2 for the configuration, 3 for a taken port."""
    source = Source(
        routes=arguments.routes,
        policies=arguments.policies,
        environment=os.environ,
        adjust=lambda snapshot: _with_addresses(snapshot, arguments),
    )
    try:
        snapshot = source.load()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_UNREADABLE if error.unreadable else EXIT_CONFIG
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        print("aiohttp was installed without its C parser; sidestep does not serve without it", file=sys.stderr)
        return EXIT_LISTEN
    for path, reason in refusals(snapshot.server):
        print(f"{'.'.join(map(str, path))}: {reason}", file=sys.stderr)
        return EXIT_CONFIG
    descriptors.raise_limit()
    writer = LogWriter(write_shared()) if arguments.workers > 1 else None
    closer = configure(arguments.log_format, arguments.log_level, writer)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(serve(lambda: _service(arguments, snapshot, source, closer)))
    finally:
        closer.close()


class Service(Protocol):
    """What a program runs: a sidecar in this process, or one in several."""

    async def start(self) -> None:
        """Serve. Raises ListenError."""

    async def reload(self) -> None:
        """Read the files again."""

    async def drain(self) -> None:
        """Take no more, and finish what has begun."""

    async def close(self) -> None:
        """End at once."""


async def serve(make: Callable[[], Service]) -> int:
    """Serve until the first signal, drain until the second or until everything has ended."""
    service = make()
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    def reload() -> None:
        reloading = asyncio.ensure_future(service.reload())
        reloads.add(reloading)
        reloading.add_done_callback(reloads.discard)

    reloads: set[asyncio.Future[None]] = set()
    loop = asyncio.get_running_loop()
    descriptors.report_shortage(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await service.start()
        loop.add_signal_handler(signal.SIGHUP, reload)
        await first.wait()
        draining = asyncio.ensure_future(service.drain())
        hurried = asyncio.ensure_future(second.wait())
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurried):
            task.cancel()
    except ListenError as error:
        print(error, file=sys.stderr)
        return EXIT_LISTEN
    finally:
        await service.close()
    return 0


def _service(arguments: argparse.Namespace, snapshot: Snapshot, source: Source, logs: Closer) -> Service:
    """One process for one worker; a parent and its workers for more."""
    state_dir = state_directory(arguments.state_dir, os.environ)
    if arguments.workers == 1:
        return Sidecar(snapshot, source, state_dir=state_dir, logs=logs)
    # Here, so that only those who want workers wait for it.
    from proxy.workers.crew import LineStyle  # noqa: PLC0415
    from proxy.workers.supervisor import Supervisor  # noqa: PLC0415

    lines = LineStyle(arguments.log_format, arguments.log_level)
    return Supervisor(snapshot, source, workers=arguments.workers, lines=lines, state_dir=state_dir, logs=logs)


def _with_addresses(snapshot: Snapshot, arguments: argparse.Namespace) -> Snapshot:
    server, written = snapshot.server, dict(snapshot.written)
    if arguments.listen:
        server = replace(server, listen=arguments.listen)
        written["server", "listen"] = "--listen"
    if arguments.admin:
        server = replace(server, admin=replace(server.admin, listen=arguments.admin))
        written["server", "admin", "listen"] = "--admin"
    return replace(snapshot, server=server, written=written)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST_WORKERS}")
    return int(text)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return Address(host.strip("[]"), int(port))
