"""The engine in this process: everything of a sidecar but its sockets."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from proxy.config.snapshot import Snapshot
from proxy.dialects.documents import write_json
from proxy.engine import Engine
from proxy.errors import ClientError, NoProviderAvailable, SidestepError
from proxy.manager.backend import Answer, Document, ManagementError
from proxy.messages import Body
from proxy.pipeline.admission import admit
from proxy.record import Record
from proxy.reload import Source
from proxy.server.admin.management import Management
from proxy.server.answer import error_reply, reply_headers
from proxy.server.asking import ask, begin
from proxy.server.sidecar import Sidecar

# A library is silent until the program sets up logging (Python's logging HOWTO, "Configuring logging for a library").
logging.getLogger("sidestep").addHandler(logging.NullHandler())


class Embedded:
    """A `Backend` over files. Belongs to the event loop that opened it; its methods are called in that thread."""

    def __init__(self, routes: Path, policies: Path | None, environment: Mapping[str, str] | None) -> None:
        variables = os.environ if environment is None else environment
        self._source = Source(routes=routes, policies=policies, environment=variables)
        self._sidecar: Sidecar | None = None
        self._streams: set[_Stream] = set()
        self._calls: set[asyncio.Task[Any]] = set()
        """Who waits for an answer."""
        self._idle = asyncio.Event()
        """Set when the last of them has got it."""
        self._closing = False

    async def open(self) -> None:
        """Load the files and start to check providers and to watch the files. Raises ConfigError."""
        snapshot: Snapshot = await asyncio.to_thread(self._source.load)
        self._closing = False
        self._sidecar = Sidecar(snapshot, self._source)
        self._sidecar.begin()

    async def close(self) -> None:
        """End what is under way, every call with an error, and close every connection to a provider."""
        for stream in tuple(self._streams):
            stream.close()
        self._closing = True
        for task in self._calls:
            task.cancel()
        if self._calls:
            self._idle.clear()
            await self._idle.wait()
        sidecar, self._sidecar = self._running, None
        await sidecar.close()

    async def ask(self, path: str, headers: Mapping[str, str], document: Document) -> Answer:
        """Take a request through the engine, as the app's listener does."""
        sidecar, body, task = self._running, write_json(document), asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        engine, stream = sidecar.engine, None
        record = begin(engine, sidecar.telemetry.new_record, path, headers, "")
        engine.registry.in_flight += 1
        self._calls.add(task)
        try:
            admit(engine.registry, engine.generation.snapshot.server.limits)
            reply = await ask(engine, record, headers, body)
            record.status = reply.status
            record.response_bytes = len(reply.body)
            answered = {**reply.headers, **reply_headers(record, engine.clock.now())}
            if reply.stream is not None:
                stream = _Stream(reply.stream, record, partial(_settle, engine, record), self._streams)
            return Answer(reply.status, answered, reply.body, stream)
        except SidestepError as error:
            return _refuse(error, record, engine.clock.now())
        except asyncio.CancelledError:
            if not self._closing or task.uncancel():
                record.cancelled = True
                raise
            return _refuse(NoProviderAvailable("the manager was closed"), record, engine.clock.now())
        finally:
            self._calls.discard(task)
            if not self._calls:
                self._idle.set()
            if stream is None:
                _settle(engine, record)

    def status(self) -> Document:
        """Everything that is known."""
        return self._management.status()

    def statistics(self) -> Document:
        """The counts."""
        return self._management.statistics()

    def reset_statistics(self) -> None:
        """Count from 0."""
        self._management.reset_statistics()

    def enable(self, name: str, *, enabled: bool) -> None:
        """Let a provider be asked, or not."""
        try:
            self._management.enable(name, enabled=enabled)
        except ClientError as error:
            raise ManagementError(error.message) from None

    def choose_strategy(self, route: str, strategy: str) -> None:
        """Give a route another strategy."""
        try:
            self._management.choose_strategy(route, {"strategy": strategy})
        except ClientError as error:
            raise ManagementError(error.message) from None

    async def names(self) -> list[str]:
        """Every provider's name."""
        return list(self._running.engine.generation.snapshot.providers)

    async def check(self, name: str) -> Document:
        """Check a provider now."""
        try:
            return await self._management.check(name)
        except ClientError as error:
            raise ManagementError(error.message) from None

    @property
    def _running(self) -> Sidecar:
        assert self._sidecar is not None  # noqa: S101  the manager opens it before anything else
        return self._sidecar

    @property
    def _management(self) -> Management:
        return self._running.management


class _Stream:
    """A reply's body, which settles its request once, however it ends."""

    def __init__(self, body: Body, record: Record, settle: Callable[[], None], among: "set[_Stream]") -> None:
        self._body = body
        self._record = record
        self._settle = settle
        self._among = among
        self._ended = False
        among.add(self)

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end."""
        piece = await self._body.read() if not self._ended else b""
        if not piece:
            self._end()
        return piece

    def close(self) -> None:
        """Before the end: the caller wants no more of it."""
        if not self._ended:
            self._record.cancelled = True
            self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._among.discard(self)
        self._body.close()
        self._settle()


def _refuse(error: SidestepError, record: Record, now: float) -> Answer:
    """Say what the app's listener would say."""
    record.error, record.status = error, error.status
    refusal = error_reply(error, record, reply_headers(record, now))
    return Answer(refusal.status, refusal.headers, refusal.body)


def _settle(engine: Engine, record: Record) -> None:
    engine.registry.in_flight -= 1
    engine.finish(record)
    engine.tell()
