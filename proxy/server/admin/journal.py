"""What happened lately, and who wants to be told at once. An observer of the engine; holds no content.

Everything is bounded: the last hundred requests are kept, a listener that does not keep up loses events and is told
how many. While nobody listens a request costs one small tuple.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from proxy.record import Attempt, Record, milliseconds
from proxy.telemetry.facts import bounded, duration

REMEMBERED = 100
"""Requests."""
MAX_MODEL = 100
WAITING = 256
"""Events that may wait for one listener."""
MAX_LISTENERS = 16


Rung = tuple[str, str, int | None, float]
"""One attempt: its provider, the class that it ended in or `ok`, the status, and the seconds it took."""


class TooManyListenersError(Exception):
    """Somebody must leave first."""


class Event(NamedTuple):
    """Something to tell: `request`, `failover`, `breaker`, `reload`, `override`, ..."""

    name: str
    data: Mapping[str, Any]


class Entry(Struct, frozen=True):
    """One finished request."""

    time: float
    """Epoch seconds of its end."""
    request_id: str
    route: str
    operation: str
    model: str
    """As the client wrote it, cut to 100 characters."""
    stream: bool
    provider: str
    """Who answered; empty when nobody did."""
    status: int
    outcome: str
    """`ok`, `degraded`, `refused`, `failed`, `broken` or `cancelled`."""
    seconds: float
    failover: bool
    attempts: tuple[Rung, ...]

    def document(self) -> dict[str, Any]:
        """The same as JSON has it; the ladder by the names of error bodies."""
        rungs = [
            {"provider": provider, "class": ending, "status": status, "ms": milliseconds(seconds)}
            for provider, ending, status, seconds in self.attempts
        ]
        document = {**asdict(self), "milliseconds": milliseconds(self.seconds), "attempts": rungs}
        del document["seconds"]
        return document


def entry_of(record: Record) -> Entry:
    """What is kept of a finished request: never its body, which can be large and is not ours."""
    request = record.request
    return Entry(  # in the order of the fields
        record.ended + record.wall_offset,
        request.id,
        record.route,
        request.operation,
        bounded(request.model, MAX_MODEL),
        request.stream,
        record.provider,
        record.status,
        record.outcome,
        duration(record),
        record.failed_over,
        tuple(map(_rung, record.attempts)),
    )


def _rung(attempt: Attempt) -> Rung:
    failure = attempt.failure
    ending = "ok" if failure is None else failure.error_class
    return attempt.provider, ending, attempt.status, attempt.ended - attempt.started


@dataclass(slots=True, eq=False)
class Listener:
    """One who wants to be told."""

    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(WAITING))
    """None is the end."""
    dropped: int = 0
    """Events lost since they were last told of."""

    def tell(self, event: Event | None) -> None:
        """Queue an event, in place of the oldest when there is no room."""
        if self.queue.full():
            self.queue.get_nowait()
            self.dropped += 1
        self.queue.put_nowait(event)


class Journal:
    """The last requests, and the listeners."""

    def __init__(self, audience: Callable[[int], None] | None = None) -> None:
        self._audience = audience
        """Told how many listen when the first one comes and when the last one leaves."""
        self._entries: deque[Entry] = deque(maxlen=REMEMBERED)
        self._listeners: set[Listener] = set()

    def observe(self, records: Sequence[Record]) -> None:
        """Keep finished requests, and tell of them and of what happened on their way."""
        entries = list(map(entry_of, records))
        self._entries.extend(entries)
        if self._listeners:
            for record, entry in zip(records, entries, strict=True):
                self._tell_of(record, entry)

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, the newest first."""
        return [entry.document() for entry in reversed(self._entries)]

    def tell(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            listener.tell(Event(name, data))

    def join(self) -> Listener:
        """Begin to be told. Raises TooManyListenersError."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise TooManyListenersError
        listener = Listener()
        self._listeners.add(listener)
        if self._audience is not None and len(self._listeners) == 1:
            self._audience(1)
        return listener

    def leave(self, listener: Listener) -> None:
        """Be told no more."""
        self._listeners.discard(listener)
        if self._audience is not None and not self._listeners:
            self._audience(0)

    def close(self) -> None:
        """Send everybody home."""
        for listener in self._listeners:
            listener.tell(None)
        self._listeners.clear()

    def _tell_of(self, record: Record, entry: Entry) -> None:
        for attempt in record.attempts:
            for event in attempt.events:
                if event.name == "breaker.change":
                    self.tell("breaker", _bare(event.attributes))
        for before, after, reason in record.failovers:
            self.tell("failover", {"request_id": entry.request_id, "from": before, "to": after, "reason": reason})
        self.tell("request", entry.document())


def _bare(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`sidestep.breaker.state` -> `state`: span attributes by their last word."""
    return {name.rpartition(".")[2]: value for name, value in attributes.items()}
