"""What the manager asks of whatever stands behind it: an engine in this process, or a sidecar somewhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Document = dict[str, Any]


class ManagementError(Exception):
    """Something could not be looked up or changed: an unknown name, a sidecar that cannot be reached, a wrong token."""


class Pieces(Protocol):
    """The body of a streamed answer; whoever holds it closes it."""

    async def read(self) -> bytes:
        """Return the next bytes, `b""` at the end. Raises OSError when the connection to a sidecar breaks."""

    def close(self) -> None:
        """Let go at once; before the end, that also ends the provider's work. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as an app would have got it."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes = field(default=b"", repr=False)
    """Empty when the answer is streamed."""
    pieces: Pieces | None = None


class Backend(Protocol):
    """One way to reach sidestep. Management answers with JSON documents and raises ManagementError."""

    async def open(self) -> None:
        """Make it ready; called once, before anything else."""

    async def close(self) -> None:
        """Release everything, streams that are still open included."""

    async def ask(self, path: str, headers: Mapping[str, str], document: Document) -> Answer:
        """Post a document as an app does; `headers` has lower-case names.

        Raises TypeError when the document is no JSON. A request that fails is an answer with its status.
        """

    def status(self) -> Document:
        """Everything that is known, as `GET /admin/status` tells it."""

    def statistics(self) -> Document:
        """The counts."""

    def reset_statistics(self) -> None:
        """Count from 0."""

    def enable(self, name: str, *, enabled: bool) -> None:
        """Let a provider be asked, or not."""

    def choose_strategy(self, route: str, strategy: str) -> None:
        """Give a route another strategy."""

    async def names(self) -> list[str]:
        """Every provider's name."""

    async def check(self, name: str) -> Document:
        """Check a provider now."""
