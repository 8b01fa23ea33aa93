"""What happened lately, and who wants to be told at once. Holds no content.

Everything is bounded: the last hundred requests are kept, a listener that does not keep up loses events and is told
how many. While nobody listens a request costs next to nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from proxy.record import Record
from proxy.telemetry.summary import Summary

REMEMBERED = 100
"""Requests."""
WAITING = 256
"""Events that may wait for one listener."""
MAX_LISTENERS = 16


class TooManyListenersError(Exception):
    """Somebody must leave first."""


class Event(NamedTuple):
    """Something to tell: `request`, `failover`, `breaker`, `reload`, `override`, ..."""

    name: str
    data: Mapping[str, Any]


def document_of(summary: Summary) -> dict[str, Any]:
    """One finished request as JSON has it; its ladder as error bodies tell it."""
    return {
        "time": datetime.fromisoformat(summary.time).timestamp(),
        "request_id": summary.request_id,
        "route": summary.route or "",
        "operation": summary.operation,
        "model": summary.model or "",
        "stream": bool(summary.stream),
        "provider": summary.provider or "",
        "status": summary.status,
        "outcome": summary.outcome,
        "milliseconds": summary.ms,
        "failover": summary.failover,
        "attempts": [attempt.document() for attempt in summary.attempts],
    }


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
        self._last: deque[Summary] = deque(maxlen=REMEMBERED)
        self._listeners: set[Listener] = set()

    def observe(self, records: Sequence[Record], summaries: Sequence[Summary]) -> None:
        """Keep finished requests, and tell of them and of what happened on their way."""
        self._last.extend(summaries)
        if self._listeners:
            for record, summary in zip(records, summaries, strict=True):
                self._tell_of(record, summary)

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, the newest first."""
        return [document_of(each) for each in reversed(self._last)]

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

    def _tell_of(self, record: Record, summary: Summary) -> None:
        for attempt in record.attempts:
            for event in attempt.events:
                if event.name == "breaker.change":
                    self.tell("breaker", _bare(event.attributes))
        for before, after, reason in record.failovers:
            self.tell("failover", {"request_id": summary.request_id, "from": before, "to": after, "reason": reason})
        self.tell("request", document_of(summary))


def _bare(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`sidestep.breaker.state` -> `state`: span attributes by their last word."""
    return {name.rpartition(".")[2]: value for name, value in attributes.items()}
