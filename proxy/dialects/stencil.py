"""The bytes that the events of a stream have in common, with holes for what differs: a whole run of them is one match.

Providers write all pieces of an answer alike but for the text in them. Once one is known to be plain (`plain`), another
that differs only in what stands in its holes is plain as well, if that is what may stand there. So the events between
two reads are cut at what joins them, put together again to see that nothing else was there, and what stood in their
holes is matched at once: a few calls for all of them, however many they are.
"""

import re

from proxy.dialects.plain import Likeness, Plain, holes, is_utf8

MOST = 256 * 1024
"""Bytes of a run that is looked at as a whole."""
NOTHING = (b"", 0)

_MARK = 16
"""Bytes of a joint that are searched for: few, since every search begins with a look at all of them."""


class Stencil:
    """What all plain events of a stream look like, and what the client is to see of them.

    While a run is matched, a line feed stands for the joint of two events, and other control characters for what is
    between the holes of one. None of them may stand in a JSON string, so none can be part of what is in a hole.
    """

    __slots__ = ("_between", "_head", "_joint", "_mark", "_shown", "_tail", "_texts")

    def __init__(self, plain: Plain) -> None:
        self._head, *between, self._tail = _around(plain.begin, plain.came)
        self._between = [(bytes([number]), literal) for number, literal in enumerate(between, 1)]
        self._joint = self._tail + self._head
        self._mark = self._joint[:_MARK]
        marks = [b"", *[re.escape(mark) for mark, _ in self._between]]
        one = b"".join([mark + hole.form for mark, hole in zip(marks, holes(plain.came), strict=True)])
        self._texts = re.compile(one + rb"(?:\n" + one + rb")*+")
        self._shown = _around(plain.begin, plain.shown) if plain.shown else ()

    def run(self, data: bytes) -> tuple[bytes, int]:
        """Match the events that `data` begins with. Returns what is forwarded of them and how many bytes they are.

        All events up to the last one are of this kind, or else nothing is matched.
        """
        start, end = len(self._head), data.rfind(self._tail)
        if end <= start or end > MOST or not data.startswith(self._head):
            return NOTHING
        said = data[start:end]
        for mark, between in self._between:
            if mark in said:
                return NOTHING
            said = said.replace(between, mark)
        texts = self._apart(said) if self._mark in said else [said]
        if len(texts) > 1:
            said = b"\n".join(texts)
        if said.count(b"\n") >= len(texts) or not self._texts.fullmatch(said) or not is_utf8(said):
            return NOTHING
        end += len(self._tail)
        return (self._show(texts) if self._shown else data[:end]), end

    def _apart(self, said: bytes) -> list[bytes]:
        """Cut a run at its joints; when there is more to them than these, it stays whole, and matches nothing then."""
        first, *others = said.split(self._mark)
        rest = len(self._joint) - _MARK
        texts = [first, *[other[rest:] for other in others]]
        return texts if self._joint.join(texts) == said else [said]

    def _show(self, texts: list[bytes]) -> bytes:
        head, *between, tail = self._shown
        shown = head + (tail + head).join(texts) + tail
        for (mark, _), literal in zip(self._between, between, strict=True):
            shown = shown.replace(mark, literal)
        return shown


def _around(begin: bytes, found: Likeness) -> tuple[bytes, ...]:
    """What stands around the holes of the event with this data: one more than there are holes."""
    data, literals, at = found.string, [], 0
    for hole in holes(found):
        literals.append(data[at : hole.start])
        at = hole.end
    return (begin + literals[0], *literals[1:], data[at:] + b"\n\n")
