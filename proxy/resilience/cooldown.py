"""A pause that a provider asked for or earned: until it ends, the provider gets no traffic."""

from math import inf


class CoolDown:
    """Of two cool-downs the later one holds: a second 429 with a shorter wait must not shorten the first."""

    __slots__ = ("_reason", "until")

    def __init__(self) -> None:
        self.until = -inf
        """Monotonic time at which it ends; in the past when it does not cool down."""
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why it cools down, or last did; empty when it never had to."""
        return self._reason

    def extend(self, now: float, seconds: float, reason: str) -> None:
        """Cool down for `seconds` from now, unless it does so for longer already; `math.inf` means until `clear`."""
        if now + seconds > max(now, self.until):
            self.until = now + seconds
            self._reason = reason

    def remaining(self, now: float) -> float:
        """Return the seconds left; 0 when it is not cooling down."""
        return max(0.0, self.until - now)

    def clear(self) -> None:
        """End it: the key changed, or a check passed."""
        self.until = -inf
        self._reason = ""
