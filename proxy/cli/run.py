"""`sidestep run`: serve until a signal says stop."""

import argparse
import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from aiohttp import http_parser

from proxy.config.rules.server import refusals
from proxy.config.snapshot import Address, Snapshot
from proxy.errors import ConfigError
from proxy.reload import Source
from proxy.server import descriptors
from proxy.server.admin.token_file import state_directory
from proxy.server.listening import ListenError
from proxy.server.sidecar import Sidecar
from proxy.telemetry.logs import Closer, configure

EXIT_CONFIG = 1
EXIT_UNREADABLE = 2
EXIT_LISTEN = 3


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command's options."""
    parser = subparsers.add_parser("run", help="serve", description="Serve until SIGTERM or SIGINT.")
    parser.add_argument("--routes", type=Path, default=Path("routes.yaml"), metavar="FILE", help="default: routes.yaml")
    parser.add_argument("--policies", type=Path, metavar="DIR", help="default: policies/ beside the routes file")
    parser.add_argument("--listen", type=_address, metavar="HOST:PORT", help="wins over server.listen")
    parser.add_argument("--admin", type=_address, metavar="HOST:PORT", help="wins over server.admin.listen")
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
    closer = configure(arguments.log_format, arguments.log_level)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(serve(snapshot, source, state_directory(arguments.state_dir, os.environ), closer))
    finally:
        closer.close()


async def serve(snapshot: Snapshot, source: Source, state_dir: Path, logs: Closer) -> int:
    """Serve until the first signal, drain until the second or until everything has ended."""
    sidecar = Sidecar(snapshot, source, state_dir=state_dir, logs=logs)
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    def reload() -> None:
        reloading = asyncio.ensure_future(sidecar.reload())
        reloads.add(reloading)
        reloading.add_done_callback(reloads.discard)

    reloads: set[asyncio.Future[None]] = set()
    loop = asyncio.get_running_loop()
    descriptors.report_shortage(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await sidecar.start()
        loop.add_signal_handler(signal.SIGHUP, reload)
        await first.wait()
        draining = asyncio.ensure_future(sidecar.drain())
        hurried = asyncio.ensure_future(second.wait())
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurried):
            task.cancel()
    except ListenError as error:
        print(error, file=sys.stderr)
        return EXIT_LISTEN
    finally:
        await sidecar.close()
    return 0


def _with_addresses(snapshot: Snapshot, arguments: argparse.Namespace) -> Snapshot:
    server, written = snapshot.server, dict(snapshot.written)
    if arguments.listen:
        server = replace(server, listen=arguments.listen)
        written["server", "listen"] = "--listen"
    if arguments.admin:
        server = replace(server, admin=replace(server.admin, listen=arguments.admin))
        written["server", "admin", "listen"] = "--admin"
    return replace(snapshot, server=server, written=written)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return Address(host.strip("[]"), int(port))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed, else asyncio's own loop."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", importlib.import_module("uvloop").new_event_loop)
