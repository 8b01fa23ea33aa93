"""Server-sent events cut out of bytes: whole blocks, in whatever pieces the network delivers them.

Follows WHATWG HTML, "Server-sent events": lines end in CR, LF or CRLF; a blank line ends a block; one byte-order mark
at the very start is ignored. Works on bytes throughout, so that a character split over two reads is no special case.
Every byte that goes in comes out in exactly one event's `raw`, so that joining them gives the input back.
"""

import re
from typing import NamedTuple

EVENT_LIMIT = 4 * 1024 * 1024
"""Bytes of the largest event that is still read; an image in base64 fits, an endless line does not."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")
_CR, _LF = b"\r\n"


class Event(NamedTuple):
    """One block of the stream."""

    raw: bytes
    """The exact bytes, its blank line included."""
    data: bytes | None
    """The `data` lines joined with LF; None when the block had none (comments, keep-alives)."""
    type: str = "message"
    """The `event` field."""


class Splitter:
    """Cuts a stream into events in time linear in its bytes, however small the slices.

    Cutting does not change the result: the same bytes give the same events. To be sure of that, a CR that ends a block
    waits for the LF that may follow it, unless the line before ended in a bare CR (then no LF is to be expected).
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.overflow = False
        """Whether an event went over `limit`; nothing more comes out then."""
        self._limit = limit
        self._buffer = bytearray()  # the unfinished block; appending is amortised, unlike `bytes`
        self._line = 0  # where its current line starts
        self._scanned = 0  # no line end before here, so nothing is searched twice
        self._data = bytearray()
        self._has_data = False
        self._type = ""
        self._first_line = True
        self._bare_cr = False
        self._skip_lf = False

    @property
    def begun(self) -> bytes:
        """What has come of the block that is not yet complete."""
        return bytes(self._buffer)

    def begin_anew(self) -> None:
        """Let go of what has begun: whoever knows it to be part of whole blocks, ended by LF, has seen to them."""
        if self._buffer:
            self._buffer.clear()
            self._data.clear()
            self._line = self._scanned = 0
            self._has_data, self._type = False, ""
        self._first_line = self._skip_lf = self._bare_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete."""
        if self.overflow:
            return []
        events: list[Event] = []
        cut = data.rfind(b"\n\n") + 2
        if cut >= 2 and _is_plain(whole := self.begun + data[:cut]):
            self.begin_anew()
            events = self._split_plain(whole)
            data = data[cut:]
        if data and not self.overflow:
            self._buffer += data
            events += self._scan()
        return events

    def close(self) -> Event | None:
        """Return the unfinished block as if its blank line had come, or None when there is none.

        The standard discards it; whether it deserves better is for the reader to judge.
        """
        if not self._buffer or self.overflow:
            return None
        raw = bytes(self._buffer)
        line = self._without_mark(raw[self._line :])
        self._buffer.clear()
        if line == b"\r":
            return self._dispatch(raw)
        self._field(line.removesuffix(b"\r"))
        return self._dispatch(raw + (b"\n" if raw.endswith(b"\n") else b"\n\n"))

    def _split_plain(self, data: bytes) -> list[Event]:
        """Cut the common case: whole events, LF only."""
        events = []
        for block in data[:-2].split(b"\n\n"):
            if len(block) + 2 > self._limit:
                self.overflow = True
                break
            raw = block + b"\n\n"
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(Event(raw, block[6:]))
            else:
                for line in block.split(b"\n"):
                    self._field(line)
                events.append(self._dispatch(raw))
        return events

    def _scan(self) -> list[Event]:
        """Cut whatever blank lines the buffer holds, line by line."""
        buffer, events, start = self._buffer, [], 0
        while (line_end := self._next_line_end()) is not None:
            end, after = line_end
            line = self._without_mark(bytes(buffer[self._line : end]))
            self._first_line = False
            self._line = self._scanned = after
            if line:
                self._field(line)
                continue
            if after - start > self._limit:
                break
            events.append(self._dispatch(bytes(buffer[start:after])))
            start = after
        del buffer[:start]
        self._line -= start
        self._scanned -= start
        if len(buffer) > self._limit:
            self.overflow = True
            buffer.clear()
        return events

    def _next_line_end(self) -> tuple[int, int] | None:
        """Find where the current line ends and the next one starts; None while that is not known."""
        buffer = self._buffer
        if self._skip_lf and self._scanned < len(buffer):
            self._skip_lf = False
            if buffer[self._scanned] == _LF:
                self._line = self._scanned = self._scanned + 1
        found = _LINE_END.search(buffer, self._scanned)
        if found is None:
            self._scanned = len(buffer)
            return None
        end = found.start()
        if buffer[end] == _LF:
            self._bare_cr = False
            return end, end + 1
        self._scanned = end
        if self._bare_cr and not self._without_mark(bytes(buffer[self._line : end])):
            self._skip_lf = True
            return end, end + 1
        if end + 1 == len(buffer):
            return None
        self._bare_cr = buffer[end + 1] != _LF
        return end, end + (1 if self._bare_cr else 2)

    def _without_mark(self, line: bytes) -> bytes:
        return line.removeprefix(BYTE_ORDER_MARK) if self._first_line else line

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._has_data = True
            self._data += value.removeprefix(b" ")
            self._data += b"\n"
        elif name == b"event":
            self._type = value.removeprefix(b" ").decode("utf-8", "replace")

    def _dispatch(self, raw: bytes) -> Event:
        event = Event(raw, bytes(self._data[:-1]) if self._has_data else None, self._type or "message")
        self._data.clear()
        self._has_data = False
        self._type = ""
        return event


def _is_plain(data: bytes) -> bool:
    """Whether it is whole blocks with LF line ends, one blank line each, and no byte-order mark."""
    return data[0] not in (_LF, BYTE_ORDER_MARK[0]) and b"\r" not in data and b"\n\n\n" not in data
