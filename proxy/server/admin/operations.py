"""What the operator's listener asks of whoever manages: one process, or the parent of several workers.

One process knows everything at once; a parent has to ask its workers first. So an operation returns a document, or
something to await for it.
"""

from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from proxy.server.admin.journal import Journal

Document = dict[str, Any]
Told = Document | Awaitable[Document]
Page = tuple[bytes, str]
"""A body and its content type."""

Value = TypeVar("Value")


class Operations(Protocol):
    """Everything behind `/admin/`. Unknown names raise ClientError 404."""

    @property
    def journal(self) -> Journal:
        """Who is told what happens."""

    def status(self) -> Told:
        """Everything that is known."""

    def statistics(self) -> Told:
        """The counts."""

    def reset_statistics(self) -> Told:
        """Count from 0."""

    def config(self) -> Told:
        """Every setting in force, and where it was written."""

    def requests(self) -> Told:
        """The last requests, the newest first."""

    def enable(self, name: str, *, enabled: bool) -> Told:
        """Let a provider be asked, or not."""

    def check(self, name: str) -> Told:
        """Ask a provider now whether it is well."""

    def choose_strategy(self, name: str, document: Document) -> Told:
        """Give a route another strategy."""

    def reset_overrides(self) -> Told:
        """Go back to what the files say."""

    def reload(self) -> Told:
        """Read the files now."""


class Pages(Protocol):
    """Whoever renders `/metrics`."""

    def render(self, accept: str = "") -> Page | Awaitable[Page]:
        """Return the page in the format that the `Accept` header asks for."""


async def settled(value: Value | Awaitable[Value]) -> Value:
    """Wait for a value if it has to be waited for."""
    return await value if isinstance(value, Awaitable) else value
