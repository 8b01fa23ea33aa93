"""Lines on their way to stdout, which may be blocked, full or gone: that costs lines, never a request.

Whoever logs only puts a line into a bounded queue. A daemon thread writes to the file descriptor itself, not to
`sys.stdout`: a thread that is stuck in the latter holds a lock which the interpreter needs at its end.
"""

import logging
import os
import queue
import select
import sys
import threading
from collections.abc import Callable

QUEUE = 10_000
"""Lines that may wait; the next one is dropped."""
CLOSE_TIMEOUT = 1.0
"""Seconds that the last lines get when the program ends."""

Write = Callable[[bytes], None]
"""Takes whole lines; may block; raises OSError when they are lost."""


class LogWriter:
    """A bounded queue and the thread that empties it."""

    def __init__(self, write: Write | None = None, *, size: int = QUEUE) -> None:
        self._write = write or write_to(sys.__stdout__.fileno() if sys.__stdout__ else 1)
        self._lines: queue.Queue[str | None] = queue.Queue(size)
        self._refused = 0
        self._lost = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sidestep-logs", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Take a line without its end; never blocks."""
        if self._closed.is_set():
            self._refused += 1
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._refused += 1

    @property
    def dropped(self) -> int:
        """Lines that found no room, or could not be written."""
        return self._refused + self._lost

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Write what is left, for at most `timeout` seconds; safe to call twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._lines.put(None, timeout=timeout / 2)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        ended = False
        while not ended:
            lines = [self._lines.get()]
            while len(lines) < 256:
                try:
                    lines.append(self._lines.get_nowait())
                except queue.Empty:
                    break
            ended = None in lines
            told = [line for line in lines if line is not None]
            try:
                self._write("".join(f"{line}\n" for line in told).encode("utf-8", "replace"))
            except OSError:
                # A full disk or a reader that left: nobody can be told but the metric.
                self._lost += len(told)


class QueueHandler(logging.Handler):
    """Formats at once, so that no object outlives the call that logged it, and hands the line on."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        self._writer.put(self.format(record))


def write_to(descriptor: int) -> Write:
    """Write all of it to a file descriptor, waiting where a pipe is full (even one that was made non-blocking)."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                select.select([], [descriptor], [])

    return write
