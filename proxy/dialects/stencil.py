"""The bytes that the chunks of a stream have in common, with holes for what differs: a whole run of them is one match.

Providers write every chunk of an answer alike but for the text in it. Once one is known to be plain (`plain_chunk`),
another that differs only in what stands in its holes is plain as well, if that is text as JSON has it. So the chunks
between two reads are cut at what joins them, put together again to see that nothing else was there, and their texts
are matched at once: a few calls for all of them, however many they are.
"""

import re

from proxy.dialects.plain_chunk import TEXT, Holes, holes, is_utf8

MOST = 256 * 1024
"""Bytes of a run that is looked at as a whole."""
NOTHING = (b"", 0)

_MARK = 16
"""Bytes of a joint that are searched for: few, for a search sets itself up anew for each chunk."""
# In the texts of a run, a line feed stands for the joint of two chunks and a carriage return for what stands between
# the two holes of one chunk. Neither may stand in a JSON string, so neither can be part of a text.
_TEXTS = (
    re.compile(TEXT + rb"++(?:\n" + TEXT + rb"++)*+"),
    re.compile(TEXT + rb"++\r" + TEXT + rb"*+(?:\n" + TEXT + rb"++\r" + TEXT + rb"*+)*+"),
)


class Stencil:
    """What all plain chunks of a stream look like, and what the client is to see of them."""

    __slots__ = ("_between", "_head", "_joint", "_mark", "_shown", "_tail", "_texts")

    def __init__(self, data: bytes, found: Holes, shown: bytes | None = None) -> None:
        """Take what is around the holes in `data` of a plain chunk; `shown` is what the client sees, if something else.

        It has the same holes, since nothing else than a member of the chunk may be left out.
        """
        self._head, *between, self._tail = _literals(data, found)
        self._between = between[0] if between else b""
        self._joint = self._tail + self._head
        self._mark = self._joint[:_MARK]
        self._texts = _TEXTS[len(between)]
        self._shown = () if shown is None else _literals(shown, holes(shown))

    def run(self, data: bytes) -> tuple[bytes, int]:
        """Match the chunks that `data` begins with. Returns what is forwarded of them and how many bytes they are.

        All chunks up to the last one are of this kind, or else nothing is matched.
        """
        start, end = len(self._head), data.rfind(self._tail)
        if end <= start or end > MOST or not data.startswith(self._head):
            return NOTHING
        said = data[start:end]
        if self._between:
            if b"\r" in said:
                return NOTHING
            said = said.replace(self._between, b"\r")
        texts = self._apart(said) if self._mark in said else [said]
        if len(texts) > 1:
            said = b"\n".join(texts)
        if said.count(b"\n") >= len(texts) or not self._texts.fullmatch(said) or not is_utf8(said):
            return NOTHING
        end += len(self._tail)
        return (self._show(texts) if self._shown else data[:end]), end

    def _apart(self, said: bytes) -> list[bytes]:
        """Cut a run at its joints; when there is more to them than these, it stays whole, and is no text then."""
        first, *others = said.split(self._mark)
        rest = len(self._joint) - _MARK
        texts = [first, *[other[rest:] for other in others]]
        return texts if self._joint.join(texts) == said else [said]

    def _show(self, texts: list[bytes]) -> bytes:
        head, *between, tail = self._shown
        shown = head + (tail + head).join(texts) + tail
        return shown.replace(b"\r", between[0]) if between else shown


def _literals(data: bytes, found: Holes) -> tuple[bytes, ...]:
    """What stands around the holes of an event whose data this is."""
    literals, at = [], 0
    for start, end in found:
        literals.append(data[at:start])
        at = end
    return (b"data: " + literals[0], *literals[1:], data[at:] + b"\n\n")
