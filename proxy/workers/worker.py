"""A worker process: a sidecar whose operator is the parent, at the other end of a channel.

It drains when it is told to, on SIGTERM, and when the parent is gone. SIGINT and SIGHUP are the parent's to act on: a
terminal sends them to the whole group.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.config.load import parse
from proxy.config.snapshot import Address, Snapshot, StrategyName
from proxy.errors import ConfigError, SidestepError
from proxy.server import descriptors
from proxy.server.admin.journal import Listener
from proxy.server.admin.operations import Document
from proxy.server.listening import ListenError
from proxy.server.sidecar import Sidecar
from proxy.telemetry.log_writer import LogWriter, write_shared
from proxy.telemetry.logs import Closer, configure
from proxy.telemetry.merging import samples
from proxy.workers.channel import Channel, connect
from proxy.workers.share import shared


class Worker:
    """Answers the parent's questions; each public method is one, by its name."""

    def __init__(self, channel: Channel) -> None:
        self.leaving = asyncio.Event()
        """Time to drain."""
        self.hurry = asyncio.Event()
        """Time to end at once."""
        self.sidecar: Sidecar | None = None
        self.serving = False
        """Whether the sidecar listens."""
        self.logs: Closer | None = None
        self._channel = channel
        self._place = (0, 1)
        self._adopting = asyncio.Lock()
        self._listener: Listener | None = None
        self._telling: asyncio.Task[None] | None = None

    def answer(self, question: str, details: Mapping[str, Any]) -> Any:  # noqa: ANN401  any JSON
        """Answer one question, at once or later. Raises SidestepError."""
        return QUESTIONS[question](self, **details)

    async def begin(
        self, *, worker: int, workers: int, texts: Mapping[str, str], log_format: str, log_level: str
    ) -> Document:
        """Make the sidecar. Numbers count from 0."""
        self._place = (worker, workers)
        self.logs = configure(log_format, log_level, LogWriter(write_shared()))
        self.sidecar = Sidecar(await self._parse(texts), logs=self.logs)
        return {"generation": self.sidecar.snapshot.generation}

    async def serve(self, *, host: str, port: int, overrides: Mapping[str, Mapping[str, Any]]) -> Document:
        """Listen, under what the operator changed by hand before this worker was there."""
        sidecar = self._sidecar
        held = sidecar.engine.registry.overrides
        held.enabled.update(overrides["enabled"])
        held.strategies.update({name: StrategyName(each) for name, each in overrides["strategies"].items()})
        try:
            await sidecar.serve(Address(host, port), shared=True)
        except ListenError as error:
            raise SidestepError(str(error), code="listen") from error
        self.serving = True
        return {}

    async def adopt(self, *, texts: Mapping[str, str]) -> Document:
        """Put what the parent found good in force."""
        async with self._adopting:  # the newest comes last, however long each of them takes
            snapshot = await self._parse(texts)
            self._sidecar.adopt(snapshot)
        return {"generation": snapshot.generation}

    def status(self) -> Document:
        """Everything that is known here."""
        return self._sidecar.management.status()

    def statistics(self) -> Document:
        """The counts."""
        return self._sidecar.management.statistics()

    def reset_statistics(self) -> Document:
        """Count from 0."""
        return self._sidecar.management.reset_statistics()

    def requests(self) -> Document:
        """The last requests."""
        return self._sidecar.management.requests()

    def metrics(self) -> list[Any]:
        """Every sample."""
        return samples(self._sidecar.telemetry.metrics)

    def enable(self, *, name: str, enabled: bool) -> Document:
        """Let a provider be asked, or not."""
        return self._sidecar.management.enable(name, enabled=enabled)

    async def check(self, *, name: str) -> Document:
        """Ask a provider whether it is well."""
        return await self._sidecar.management.check(name)

    def choose_strategy(self, *, name: str, document: Document) -> Document:
        """Give a route another strategy."""
        return self._sidecar.management.choose_strategy(name, document)

    def reset_overrides(self) -> Document:
        """Go back to what the files say."""
        return self._sidecar.management.reset_overrides()

    def listen(self, *, wanted: bool) -> Document:
        """Tell the parent what happens as it happens, or tell it no more."""
        journal = self._sidecar.journal
        if wanted and self._listener is None:
            self._listener = journal.join()
            self._telling = asyncio.create_task(self._tell(self._listener))
        elif not wanted and self._listener is not None:
            journal.leave(self._listener)
            self._listener.tell(None)
            self._listener = None
        return {}

    def ping(self) -> Document:
        """Say that the event loop turns."""
        return {}

    def drain(self) -> Document:
        """Leave in good order."""
        self.leaving.set()
        return {}

    def end(self) -> Document:
        """Leave at once."""
        self.leaving.set()
        self.hurry.set()
        return {}

    @property
    def _sidecar(self) -> Sidecar:
        if self.sidecar is None:
            raise SidestepError("this worker has not begun", status=503, code="not_begun")
        return self.sidecar

    async def _parse(self, texts: Mapping[str, str]) -> Snapshot:
        """Build a snapshot from files that the parent read. Raises SidestepError when it is not good here."""
        files = {Path(name): text.encode() for name, text in texts.items()}
        try:
            snapshot = await asyncio.to_thread(parse, files, os.environ)
        except ConfigError as error:
            raise SidestepError(str(error), code="invalid_configuration") from error
        return shared(snapshot, *self._place)

    async def _tell(self, listener: Listener) -> None:
        try:
            while (event := await listener.queue.get()) is not None:
                await self._channel.tell(event.name, event.data)
                if listener.dropped:
                    await self._channel.tell("dropped", {"events": listener.dropped})
                    listener.dropped = 0
        except ConnectionError:
            return  # the parent is gone, which `work` sees too


QUESTIONS = {
    name: getattr(Worker, name)
    for name in (
        *("begin", "serve", "adopt", "status", "statistics", "reset_statistics", "requests", "metrics"),
        *("enable", "check", "choose_strategy", "reset_overrides", "listen", "ping", "drain", "end"),
    )
}
"""What the parent may ask."""


async def work(end: socket.socket) -> int:
    """Serve until it is time to leave, drain, end. Returns the exit status."""
    channel = await connect(end)
    worker = Worker(channel)
    loop = asyncio.get_running_loop()
    descriptors.raise_limit()
    descriptors.report_shortage(loop)
    loop.add_signal_handler(signal.SIGTERM, worker.leaving.set)
    for number in (signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, _leave_it_to_the_parent)
    hearing = asyncio.create_task(channel.serve(worker.answer))
    hearing.add_done_callback(lambda _: worker.leaving.set())
    await worker.leaving.wait()
    if worker.sidecar is not None:
        if worker.serving:
            await _drained(worker.sidecar, worker.hurry)
        await worker.sidecar.close()
    hearing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hearing
    if worker.logs is not None:
        worker.logs.close()
    return 0


async def _drained(sidecar: Sidecar, hurry: asyncio.Event) -> None:
    """Wait until everything has been answered, or until there is no time left for it."""
    draining = asyncio.ensure_future(sidecar.drain())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurried):
        task.cancel()


def _leave_it_to_the_parent() -> None:
    """Do nothing; without a handler the signal would end the process."""
