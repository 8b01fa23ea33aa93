"""Good answers, kept for the very same question: bounded by age, number and bytes, the longest unasked going first.

The settings are an argument, so that a reload may change them while answers are kept. All times are monotonic seconds.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from proxy.config.snapshot import Cache
from proxy.messages import KEPT, Operation, Request

LONGEST_QUESTION = 1024 * 1024
"""Bytes of a request's body; a longer question hardly comes twice, and to compare it would hold up everybody."""
OVERHEAD = 512
"""Bytes that an entry takes up beside its answer."""

_TEXT = frozenset({Operation.CHAT, Operation.COMPLETIONS})
_WHOLE = frozenset({"stop", "eos", "end_turn", "stop_sequence"})
"""Finish reasons of answers that nothing cut short and that call no tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A complete answer, ready to be given again. Of its headers only those that we wrote ourselves."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    provider: str
    """Who gave it."""
    at: float
    """When."""

    @property
    def size(self) -> int:
        """Bytes that it takes up."""
        return len(self.body) + OVERHEAD


class Store:
    """The kept answers of one route."""

    __slots__ = ("_entries", "size")

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, Kept] = OrderedDict()
        """The one that was not asked for longest comes first."""
        self.size = 0
        """Bytes kept."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float, max_age: float) -> Kept | None:
        """Return the answer to a question if it is younger than `max_age` seconds."""
        kept = self._entries.get(key)
        if kept is None or now - kept.at >= max_age:
            return None
        self._entries.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept, settings: Cache, *, stale_for: float) -> None:
        """Keep an answer in place of an older one, and drop what is too old to be of any use, or too much."""
        lasting = max(settings.ttl, stale_for)
        self._drop(key)
        if lasting > 0 and kept.size <= settings.max_bytes:
            self._entries[key] = kept
            self.size += kept.size
        while self._entries:
            oldest_key, oldest = next(iter(self._entries.items()))
            fits = len(self._entries) <= settings.max_entries and self.size <= settings.max_bytes
            if fits and kept.at - oldest.at < lasting:
                break
            self._drop(oldest_key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0

    def _drop(self, key: bytes) -> None:
        gone = self._entries.pop(key, None)
        if gone is not None:
            self.size -= gone.size


def key_of(request: Request, route: str) -> bytes | None:
    """Return what identical questions have in common, and only they; None for those whose answers are never kept.

    That is all that the client asked for: the whole document whatever the order of its keys (its `user`, and the usage
    it wants in a stream, included), the provider that it would rather have, whether it streams, and the route.
    """
    if request.tools or request.pinned or request.operation not in KEPT or len(request.body) > LONGEST_QUESTION:
        return None
    asked = [route, request.operation, request.preferred, {**request.document, "stream": request.stream}]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).digest()


def worth_keeping(operation: Operation, finish_reasons: Collection[str]) -> bool:
    """Say whether an answer that ended well is whole: not cut at a length, filtered, or a call for a tool.

    Only text has finish reasons, and must have one; other answers are whole when they are valid.
    """
    return operation not in _TEXT or (bool(finish_reasons) and _WHOLE.issuperset(finish_reasons))
