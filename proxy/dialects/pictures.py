"""What image bytes are: kind, size in pixels, and whether they are all there. Headers are read, pixels are not."""

from typing import NamedTuple


class Picture(NamedTuple):
    """An image as its own bytes declare it."""

    kind: str
    """`jpeg`, `png`, `gif`, `webp` or `avif`."""
    width: int
    """Pixels; 0 when the header could not be read."""
    height: int
    complete: bool
    """Whether the end of the file is there."""


def inspect(body: bytes) -> Picture | None:
    """Recognise an image by its first bytes, whatever its content type claims; None when it is none of ours."""
    if body.startswith(b"\xff\xd8\xff"):
        return _jpeg(body)
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return Picture("png", _big(body[16:20]), _big(body[20:24]), b"IEND\xaeB`\x82" in body[-64:])
    if body.startswith((b"GIF87a", b"GIF89a")):
        return Picture("gif", _little(body[6:8]), _little(body[8:10]), body.rstrip(b"\0").endswith(b";"))
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return _webp(body)
    if body[4:8] == b"ftyp" and body[8:12] in {b"avif", b"avis", b"mif1"}:
        return _avif(body)
    return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA


def _jpeg(body: bytes) -> Picture:
    """Walk the segments to the first scan (ITU T.81, annex B), so that a thumbnail's end is not taken for the end."""
    width = height = 0
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _FRAMES:
            height, width = _big(body[at + 5 : at + 7]), _big(body[at + 7 : at + 9])
        at += 2 + max(2, _big(body[at + 2 : at + 4]))
        if marker == _SCAN:
            # Within a scan 0xFF is followed by 0 or a restart marker, so this can only be the end of the image.
            return Picture("jpeg", width, height, body.find(b"\xff\xd9", at) >= 0)
    return Picture("jpeg", width, height, complete=False)


def _webp(body: bytes) -> Picture:
    """Read the RIFF container (RFC 9649)."""
    complete = len(body) >= _little(body[4:8]) + 8
    form, data = body[12:16], body[20:30]
    if form == b"VP8X":
        return Picture("webp", _little(data[4:7]) + 1, _little(data[7:10]) + 1, complete)
    if form == b"VP8L":
        bits = _little(data[1:5])
        return Picture("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, complete)
    return Picture("webp", _little(data[6:8]) & 0x3FFF, _little(data[8:10]) & 0x3FFF, complete)


def _avif(body: bytes) -> Picture:
    """Walk the top-level boxes for completeness (ISO/IEC 14496-12); the size stands in the first `ispe` box."""
    at = 0
    while at + 8 <= len(body):
        size = _big(body[at : at + 4])
        if size == 1:
            size = _big(body[at + 8 : at + 16])
        at = len(body) if size == 0 else at + max(8, size)
    found = body.find(b"ispe", 0, 4096)
    sides = body[found + 8 : found + 16] if found >= 0 else b""
    return Picture("avif", _big(sides[:4]), _big(sides[4:]), at == len(body))
