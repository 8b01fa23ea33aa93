"""What happened in one scenario, from every side that can tell: clients, upstreams, the gateway and its process."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.http1 import Headers
from lab.otlp import ReceivedSpan
from lab.upstream import Upstream
from prometheus_client.parser import text_string_to_metric_families

OUTPUT = re.compile(rb'"content": ?"[^"]')
"""A piece of a stream that shows something."""


@dataclass(slots=True)
class Sent:
    """One request as its client lived through it. Times are event-loop seconds."""

    nonce: str
    stream: bool
    begun: float
    status: int | None = None
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    complete: bool = False
    """Whether the answer ended as its framing said."""
    first_at: float | None = None
    """When the first output came."""
    last_at: float | None = None
    """When the last output came."""
    ended: float | None = None
    """None: it never did, until the lab gave up."""
    left: bool = False
    """The client left on purpose."""
    problem: str = ""
    """What the network did instead of an answer."""

    @property
    def took(self) -> float:
        """Seconds from the first byte sent to the last one received."""
        return (self.ended if self.ended is not None else float("inf")) - self.begun

    @property
    def events(self) -> list[str]:
        """The data of every server-sent event."""
        blocks = self.body.decode("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        data = (
            [line[5:].removeprefix(" ") for line in block.split("\n") if line[:5] == "data:"]
            for block in blocks.split("\n\n")
        )
        return ["\n".join(lines) for lines in data if lines]

    @property
    def done(self) -> bool:
        """Whether a stream was said to be whole."""
        return "[DONE]" in self.events

    @property
    def finished(self) -> bool:
        """Whether a stream told its finish reason; there are providers that never send a [DONE]."""
        choices = (choice for document in self.documents for choice in document.get("choices") or [])
        return any(choice.get("finish_reason") for choice in choices)

    @property
    def documents(self) -> list[Any]:
        """Everything that was said in JSON; raises ValueError for what calls itself so and is not."""
        return [json.loads(event) for event in self.events if event != "[DONE]"] if self.streamed else [self.document]

    @property
    def streamed(self) -> bool:
        """Whether the answer came as events."""
        return (self.headers.get("content-type") or "").startswith("text/event-stream")

    @property
    def document(self) -> Any:
        """The whole body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error that it was told, in the body or in a stream's frame; None when all went well."""
        errors = [
            document["error"] for document in self.documents if isinstance(document, dict) and "error" in document
        ]
        return errors[-1] if errors else None

    @property
    def text(self) -> str:
        """What the assistant said."""
        if self.streamed:
            deltas = (choice["delta"] for document in self.documents for choice in document.get("choices") or [])
            return "".join(delta.get("content") or "" for delta in deltas)
        choices = self.document.get("choices") or []
        return (choices[0]["message"].get("content") or "") if choices else ""

    @property
    def answered(self) -> bool:
        """Whether it got a whole answer."""
        if self.status != 200 or not self.complete:
            return False
        return not self.streamed or ((self.done or self.finished) and self.error is None)

    @property
    def failed(self) -> bool:
        """Whether its user saw an error of any kind."""
        return not self.left and not self.answered

    def note(self, piece: bytes, now: float) -> None:
        """Take the next bytes of the body."""
        self.body += piece
        if OUTPUT.search(piece):
            self.last_at = now
            if self.first_at is None:
                self.first_at = now


class Page:
    """One reading of /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        families = text_string_to_metric_families(text)
        self._samples = [(each.name, each.labels, each.value) for family in families for each in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Add up the samples of that name that have these labels."""
        return sum(value for each, given, value in self._samples if each == name and labels.items() <= given.items())

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._samples)


@dataclass(slots=True, kw_only=True)
class Inside:
    """What only our own process tells: before and after, and what it wrote meanwhile."""

    before: Page
    after: Page
    lines: list[dict[str, Any]]
    """Its log."""
    stdout: str
    stderr: str
    spans: list[ReceivedSpan]
    alive: bool
    pulse: list[float]
    """Seconds that /livez took, twenty times a second."""
    documents: str = ""
    """What the operator's listener said."""

    def grown(self, name: str, **labels: str) -> float:
        """Return by how much a counter grew."""
        return self.after.sum(name, **labels) - self.before.sum(name, **labels)


@dataclass(slots=True, kw_only=True)
class History:
    """One scenario, whole."""

    upstreams: Iterable[Upstream]
    attempts: int
    """Upstream calls that a request may cost."""
    deadline: float
    """Seconds within which a request must have ended."""
    slack: float = 0.25
    """Seconds on top of it."""
    timed: bool = True
    """Whether the machine is quiet enough to judge milliseconds."""
    canaries: tuple[str, ...] = ()
    sent: list[Sent] = field(default_factory=list)
    uncounted: bool = False
    """Whether there were bytes that nobody counts as requests; then counts are not compared."""
    left_over: list[str] = field(default_factory=list)
    """What was still there when everything should have been over."""
    inside: Inside | None = None
    """None: a foreign gateway."""

    def calls(self, nonce: str) -> int:
        """Count the upstream calls that a request cost."""
        return sum(asked.question == nonce for upstream in self.upstreams for asked in upstream.requests)

    @property
    def calls_per_request(self) -> float:
        """The same as a mean."""
        total = sum(len(upstream.requests) for upstream in self.upstreams)
        return total / len(self.sent) if self.sent else 0.0
