"""Lines on their way to stdout, which may be blocked, full or gone: that costs lines, never a request.

Whoever logs only puts a line into a bounded queue. A daemon thread writes to the file descriptor itself, not to
`sys.stdout`: a thread that is stuck in the latter holds a lock which the interpreter needs at its end.
"""

import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable

QUEUE = 10_000
"""Lines that may wait; the next one is dropped."""
BATCH = 256
"""Lines written at once."""
GATHER = 0.02
"""Seconds that lines gather before they are written."""
CLOSE_TIMEOUT = 1.0
"""Seconds that the last lines get when the program ends."""

NEWLINE = ord("\n")

Write = Callable[[bytes], None]
"""Takes whole lines; may block; raises OSError when they are lost."""


class LogWriter:
    """A bounded queue and the thread that empties it.

    The thread lets lines gather for a moment before it writes them: to wake it for every line would cost more than
    the line, since both sides want the same interpreter.
    """

    def __init__(self, write: Write | None = None, *, size: int = QUEUE) -> None:
        self._write = write or write_to(sys.__stdout__.fileno() if sys.__stdout__ else 1)
        self._lines: deque[str] = deque()
        self._size = size
        self._refused = 0
        self._lost = 0
        self._news = threading.Event()
        self._awake = False
        """Whether the thread was told already that there are lines."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sidestep-logs", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Take a line without its end; never blocks."""
        if len(self._lines) >= self._size:
            self._refused += 1
            return
        self._lines.append(line)
        if not self._awake:
            self._awake = True
            self._news.set()

    @property
    def dropped(self) -> int:
        """Lines that found no room, or could not be written."""
        return self._refused + self._lost

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Write what is left, for at most `timeout` seconds; safe to call twice."""
        self._size = 0  # no room for what comes now
        self._closed.set()
        self._news.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._news.wait()
            self._closed.wait(GATHER)
            self._news.clear()
            self._awake = False  # before it looks: whoever finds it still awake has left a line that it will see
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._lines:
            told = [self._lines.popleft() for _ in range(min(BATCH, len(self._lines)))]
            try:
                self._write("\n".join((*told, "")).encode("utf-8", "replace"))
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
    """Write all of it to a file descriptor, waiting where a pipe is full (even one that was made non-blocking).

    What a full disk cut stays a line of its own: what is written next begins a new one.
    """
    whole = True

    def write(data: bytes) -> None:
        nonlocal whole
        rest = memoryview(data if whole else b"\n" + data)
        while rest:
            try:
                written = os.write(descriptor, rest)
            except BlockingIOError:
                select.select([], [descriptor], [])
            else:
                whole = rest[written - 1] == NEWLINE
                rest = rest[written:]

    return write


def write_shared(descriptor: int = 1) -> Write:
    """Write to a pipe that other processes write to as well, whole lines at a time.

    A pipe takes up to PIPE_BUF bytes in one piece (POSIX write(2)); a longer line could be torn by another's while the
    pipe is full.
    """
    write = write_to(descriptor)

    def write_lines(data: bytes) -> None:
        piece = b""
        for line in data.splitlines(keepends=True):
            if piece and len(piece) + len(line) > select.PIPE_BUF:
                write(piece)
                piece = b""
            piece += line
        write(piece)

    return write_lines
