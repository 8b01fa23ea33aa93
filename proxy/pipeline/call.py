"""One request on its way through the pipeline, and one provider's turn at it."""

from collections.abc import Mapping

from msgspec import Struct, field

from proxy.config.snapshot import Policy, Provider, Route
from proxy.errors import ErrorClass, Failure
from proxy.messages import Request
from proxy.pipeline.seat import Seat
from proxy.record import Attribute, Record, Step
from proxy.registry import ProviderState, RouteState
from proxy.resilience.breaker import Permit
from proxy.resilience.load import Load
from proxy.resilience.outcome import Verdict
from proxy.routing.candidates import Excluded


class Turn(Struct, kw_only=True):
    """One provider's chance within a request."""

    seat: Seat
    provider: Provider
    state: ProviderState
    model: str
    """The provider's name for the model."""
    alternatives: int
    """Usable candidates that would still be there if this one fails."""
    last_chance: bool = False
    """Whether it is let through although every candidate was open."""
    permit: Permit | None = None


class Call(Struct, kw_only=True):
    """Mutable state of one request: what is left of its attempts, whom it tried, what it learned."""

    request: Request
    route: Route
    policy: Policy
    table: Mapping[ErrorClass, Verdict]
    route_state: RouteState
    load: Load
    """How this process bears up: a timeout may be its own."""
    record: Record
    model: str
    """The client's model name, or the one that a degradation asks for instead."""
    attempts_left: int
    reserved: int = 0
    """Attempts kept back for degradations that ask another model."""
    deadline: float = float("inf")
    """Monotonic seconds."""
    own_deadline: bool = True
    """Whether the deadline is the policy's and not a tighter one of the client's."""
    turn: Turn | None = None
    tried: dict[str, Failure] = field(default_factory=dict)
    """Provider -> how its last turn ended."""
    windows: dict[str, int | None] = field(default_factory=dict)
    """Declared context windows of the providers tried, tokens."""
    racing: bool = False
    """Whether another provider is being asked at the same time (a hedge)."""
    outrun: bool = False
    """Whether that one was faster."""
    excluded: tuple[Excluded, ...] = ()
    """Why the others are not candidates, as of the last choice."""
    cache_key: bytes | None = None
    """What it has in common with identical questions; None when its answer is not to be kept."""
    step: Step | None = None
    """The stage that is deciding right now."""

    def end_step(self, now: float, error: str | None = None) -> None:
        """The stage that was deciding is done: it handed on, or refused with `error`."""
        step = self.step
        if step is not None and not step.ended:
            step.ended = now
            step.error = error

    def note(self, name: str, now: float, attributes: Mapping[str, Attribute]) -> None:
        """Add an event to the logical operation's span."""
        self.record.note(name, now, attributes)

    def fresh(self) -> None:
        """Start over for another model: the tried-set and exclusions go, attempts and deadline stay."""
        self.tried = {}
        self.windows = {}
        self.excluded = ()
        self.turn = None
