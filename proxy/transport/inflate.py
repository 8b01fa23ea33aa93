"""Unpack an answer that came compressed although we asked for `identity`, without ever unpacking a bomb."""

import zlib

MAX_RATIO = 100
"""Unpacked bytes per packed byte; text rarely passes 20."""
FREE = 1024 * 1024
"""Unpacked bytes for which the ratio is not looked at: short repetitive answers may well pass it."""
SLICE = 64 * 1024
"""Bytes unpacked before the ratio is looked at again."""

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class InflateError(Exception):
    """The answer cannot be unpacked; the message says why."""


class Inflater:
    """Feeds on packed bytes. Codings: gzip, x-gzip and deflate (RFC 9110 section 8.4.1)."""

    def __init__(self, coding: str) -> None:
        bits = _WINDOW_BITS.get(coding.strip().lower())
        self._zlib = zlib.decompressobj(wbits=bits) if bits is not None else None
        self._packed = 0
        self._plain = 0

    def feed(self, data: bytes) -> bytes:
        """Return what unpacks from these bytes. Raises InflateError."""
        if self._zlib is None:
            raise InflateError("the provider packed its answer in a way that was not asked for")
        pieces = []
        while data:
            try:
                pieces.append(self._zlib.decompress(data, SLICE))
            except zlib.error as error:
                raise InflateError("the provider's answer does not unpack") from error
            rest = self._zlib.unconsumed_tail
            self._packed += len(data) - len(rest)
            self._plain += len(pieces[-1])
            if self._plain > max(FREE, self._packed * MAX_RATIO):
                raise InflateError(f"the provider's answer unpacks to more than {MAX_RATIO} times its size")
            data = rest
        return b"".join(pieces)

    def close(self) -> bytes:
        """Say that all has come; returns the rest. Raises InflateError when the end is missing."""
        if self._zlib is None or not self._zlib.eof:
            raise InflateError("the provider's packed answer is not complete")
        return b""
