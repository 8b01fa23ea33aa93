"""Unpack an answer that came compressed although we asked for `identity`, without ever unpacking a bomb."""

import zlib

MAX_RATIO = 100
"""Unpacked bytes per packed byte; text rarely passes 20."""
FREE = 1024 * 1024
"""Unpacked bytes for which the ratio is not looked at: short repetitive answers may well pass it."""

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
        self._packed += len(data)
        room = max(FREE, self._packed * MAX_RATIO) - self._plain + 1
        try:
            plain = self._zlib.decompress(data, room)
        except zlib.error as error:
            raise InflateError("the provider's answer does not unpack") from error
        self._plain += len(plain)
        if len(plain) >= room:
            raise InflateError(f"the provider's answer unpacks to more than {MAX_RATIO} times its size")
        return plain

    def close(self) -> bytes:
        """Say that all has come; returns the rest. Raises InflateError when the end is missing."""
        if self._zlib is None or not self._zlib.eof:
            raise InflateError("the provider's packed answer is not complete")
        return b""
