"""What each worker last told of its counts, and what those that are gone had told: so that no sum ever falls. Pure."""

from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

Told = TypeVar("Told")


class Ledger(Generic[Told]):
    """Remembers one kind of answer. Workers are known by the number of their process."""

    def __init__(self, add: Callable[[list[Told]], Told]) -> None:
        self._add = add
        """Makes one of what several have told, or of what is left of them."""
        self._last: dict[int, Told] = {}
        self._gone: list[Told] = []
        """At most one: the sum over those that are gone."""

    def take(self, answers: Mapping[int, Told], living: Collection[int]) -> list[Told]:
        """Take the newest answers; return all that counts: of the living, and what is left of the others."""
        self._last.update(answers)
        lost = [self._last.pop(pid) for pid in list(self._last) if pid not in living]
        if lost:
            self._gone = [self._add([*self._gone, *lost])]
        return [*self._last.values(), *self._gone]

    def forget(self) -> None:
        """Count from 0."""
        self._last.clear()
        self._gone.clear()
