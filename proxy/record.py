"""The facts of one request, noted cheaply as it runs.

Spans, metrics, the log line and the statistics are all made from this record, after the answer. Nothing here knows
OpenTelemetry: identifiers are plain digits and integers, chosen up front where they are propagated, and a span exists
only once its trace is known to be kept. All times are monotonic seconds; `wall_offset` turns them into epoch seconds.
"""

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

from msgspec import Struct, field

from proxy.errors import AttemptSummary, Failure, SidestepError
from proxy.messages import AnswerFacts, Request

Attribute = str | int | float | bool
_FROM_MEMORY = frozenset({"hit", "stale", "shared"})
NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})
UNKNOWN = AnswerFacts()
"""What an attempt knows of its answer before any came; never written to."""


def milliseconds(seconds: float) -> float:
    """As people read them: to a tenth, never below zero."""
    return round(seconds * 10_000) / 10 if seconds > 0 else 0.0


class Event(Struct, frozen=True, gc=False):
    """Something that happened at one moment: `retry`, `failover`, `breaker.change`, `hold_back.end`, ..."""

    name: str
    at: float
    attributes: Mapping[str, Attribute] = NO_ATTRIBUTES


class Step(Struct, gc=False):
    """One stage's turn at the request: a span under the logical operation."""

    name: str
    """The stage's name: `strategy`, `breaker`, `rate_limit`, ..."""
    started: float
    ended: float = 0.0
    attributes: Mapping[str, Attribute] = NO_ATTRIBUTES
    """Set as a whole by the stage that has something to tell."""
    error: str | None = None
    """`error.type` when the stage itself refused the request."""


class Attempt(Struct):
    """One physical upstream call: a CLIENT span."""

    number: int
    """1 for the first call of the request, over all providers."""
    resend: int
    """0 for the first call on this provider within the request, then 1, 2, ..."""
    provider: str
    model: str
    """The provider's name for it."""
    method: str
    url: str
    """Without query, credentials or anything that a client wrote."""
    template: str
    span_id: int
    started: float
    headers_at: float | None = None
    """When the status line and headers were complete."""
    first_output_at: float | None = None
    ended: float = 0.0
    status: int | None = None
    failure: Failure | None = None
    facts: AnswerFacts = field(default_factory=lambda: UNKNOWN)
    """Replaced as a whole when the answer has told something."""
    waited: float = 0.0
    """Seconds of back-off before it."""
    hedge: str = ""
    """When two providers were asked at once: `winner`, `loser` (the other was faster), or `failed` without either."""
    events: tuple[Event, ...] = ()

    def note(self, name: str, now: float, attributes: Mapping[str, Attribute]) -> None:
        """Add an event to the attempt's span."""
        self.events = (*self.events, Event(name, now, attributes))

    def summary(self) -> AttemptSummary:
        """The rung of the ladder, for error bodies and logs."""
        return AttemptSummary(
            provider=self.provider,
            error_class=self.failure.error_class.value if self.failure else "ok",
            status=self.status,
            milliseconds=milliseconds(self.ended - self.started),
        )


class Record(Struct):
    """One request from its first byte to its last."""

    request: Request
    trace_id: str
    """32 hexadecimal digits: the caller's, or new."""
    started: float
    wall_offset: float
    """`wall() - now()` at the start."""
    parent_span_id: int | None = None
    """The caller's span, from `traceparent`."""
    trace_state: str = ""
    sampled: bool = True
    """The head decision; a trace that failed or failed over may be kept all the same."""
    client_address: str = ""
    route: str = ""
    generation: str = ""
    steps: list[Step] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    events: tuple[Event, ...] = ()
    """Events of the logical operation: retry, failover, degrade."""
    provider: str = ""
    """Who answered; empty when nobody did."""
    status: int = 0
    """What the client was told."""
    error: SidestepError | None = None
    """Why the client got no answer."""
    broken: Failure | None = None
    """Why a committed stream did not end well."""
    cancelled: bool = False
    """The client left first."""
    degraded: str = ""
    """Which degradation answered: `stale_cache`, `model`, `route`, `static`."""
    cache: str = ""
    """What the cache had: `hit`, `miss`, `stale`, `shared` (the answer to an identical request at the same time)."""
    age: float | None = None
    """Seconds since the answer was given, when it came from the cache."""
    shared_wait: float = 0.0
    """Seconds spent waiting for the answer to an identical request."""
    first_output_at: float | None = None
    ended: float = 0.0
    outcome: str = ""
    """How it ended for the client, once it has; every request has exactly one.

    `broken` (a committed stream was cut), `cancelled` (the client left), `failed` (5xx), `refused` (4xx), `degraded`
    (answered, but not by a provider's answer to the question), `ok`.
    """
    failed: bool = False
    """Whether the client was failed, by an error of ours or a stream that broke; its own leaving is neither."""
    failed_over: bool = False
    """Whether the provider changed on the way, known when it has ended."""
    response_bytes: int = 0
    captured_output: str | None = None
    """The answer's text, only when `telemetry.content` is on."""

    def note(self, name: str, now: float, attributes: Mapping[str, Attribute]) -> None:
        """Add an event to the logical operation's span."""
        self.events = (*self.events, Event(name, now, attributes))

    def finish(self, now: float) -> None:
        """Nothing more will happen to it: what that amounts to is read by everybody who hears of it."""
        self.ended = now
        if len(self.attempts) > 1:
            self.failed_over = bool(self.failovers)
        if self.broken is not None or (self.error is not None and self.error.status >= 500):
            self.failed = True
        if self.broken is not None:
            self.outcome = "broken"
        elif self.cancelled:
            self.outcome = "cancelled"
        elif self.error is not None:
            self.outcome = "failed" if self.failed else "refused"
        else:
            self.outcome = "degraded" if self.degraded else "ok"

    def traceparent(self, span_id: int) -> str:
        """The W3C header that makes `span_id` the parent of whatever the receiver does."""
        return f"00-{self.trace_id}-{span_id.to_bytes(8).hex()}-{'01' if self.sampled else '00'}"

    def served(self) -> Attempt | None:
        """The attempt that the answer came from; None when it came from memory, or from nobody."""
        if self.cache not in _FROM_MEMORY:
            for attempt in reversed(self.attempts):
                if attempt.provider == self.provider:
                    return attempt
        return None

    @property
    def failovers(self) -> list[tuple[str, str, str]]:
        """Every change of provider as (from, to, error class of the last attempt on `from`); being outrun is none."""
        changes: list[tuple[str, str, str]] = []
        if len(self.attempts) < 2:
            return changes
        asked = [attempt for attempt in self.attempts if attempt.hedge != "loser"]
        for before, after in pairwise(asked):
            if before.provider != after.provider:
                reason = before.failure.error_class.value if before.failure else "ok"
                changes.append((before.provider, after.provider, reason))
        return changes
