"""Serving until a signal says stop: the files loaded, the service started, drained and closed."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from aiohttp import http_parser

from proxy.cli.loop import end_anyway, loop_factory, tune_process
from proxy.config.rules.server import refusals
from proxy.config.snapshot import Snapshot
from proxy.errors import ConfigError
from proxy.reload import Source
from proxy.server import descriptors
from proxy.server.admin.token_file import state_directory
from proxy.server.listening import ListenError
from proxy.server.sidecar import Sidecar
from proxy.telemetry.log_writer import LogWriter, write_shared
from proxy.telemetry.logs import Closer, configure
from proxy.workers.hiring import Hired

EXIT_CONFIG = 1
EXIT_UNREADABLE = 2
EXIT_LISTEN = 3


def run_alone(arguments: argparse.Namespace) -> int:
    """Serve in this process; return the exit status."""

    def service(snapshot: Snapshot, source: Source, logs: Closer) -> Service:
        return Sidecar(snapshot, source, state_dir=state_directory(arguments.state_dir, os.environ), logs=logs)

    return _run(arguments, service, None)


def run_with(hired: Sequence[Hired], arguments: argparse.Namespace) -> int:
    """Serve with workers that were started already; return the exit status."""
    from proxy.workers.crew import LineStyle  # noqa: PLC0415  only those who want workers wait for it
    from proxy.workers.supervisor import Supervisor  # noqa: PLC0415

    def service(snapshot: Snapshot, source: Source, logs: Closer) -> Service:
        return Supervisor(
            snapshot,
            source,
            hired=hired,
            lines=LineStyle(arguments.log_format, arguments.log_level),
            state_dir=state_directory(arguments.state_dir, os.environ),
            logs=logs,
        )

    return _run(arguments, service, LogWriter(write_shared()))


def _run(
    arguments: argparse.Namespace, make: Callable[[Snapshot, Source, Closer], "Service"], writer: LogWriter | None
) -> int:
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
    closer = configure(arguments.log_format, arguments.log_level, writer)
    tune_process()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            status = runner.run(serve(lambda: make(snapshot, source, closer)))
            otherwise = end_anyway(status, closer.close)
        otherwise.cancel()
        return status
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


def _with_addresses(snapshot: Snapshot, arguments: argparse.Namespace) -> Snapshot:
    server, written = snapshot.server, dict(snapshot.written)
    if arguments.listen:
        server = replace(server, listen=arguments.listen)
        written["server", "listen"] = "--listen"
    if arguments.admin:
        server = replace(server, admin=replace(server.admin, listen=arguments.admin))
        written["server", "admin", "listen"] = "--admin"
    return replace(snapshot, server=server, written=written)
