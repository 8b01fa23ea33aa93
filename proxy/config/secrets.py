"""A string that cannot be printed by accident."""

import hmac
from collections.abc import Iterable


class Secret:
    """Holds a key or token; every way of showing it shows `***`. `reveal()` is called only where bytes are sent."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the wire."""
        return self._value

    def matches(self, candidate: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._value.encode(), candidate.encode("utf-8", "surrogateescape"))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled or copied into another process")


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """Replace every known secret in what somebody else wrote, before it is shown to anyone."""
    for secret in secrets:
        value = secret.reveal()
        if value and value in text:
            text = text.replace(value, "***")
    return text
