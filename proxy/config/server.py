"""Settings of the process: its listeners, their limits, and what it tells of requests.

Units and defaults as in `proxy.config.snapshot`.
"""

from dataclasses import dataclass, field

from proxy.config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may ask of the data listener."""

    body: int = 25 * 1024 * 1024
    header_time: float = 10.0
    """Seconds from the first byte of a request to the end of its headers."""
    body_time: float = 30.0
    """Seconds for the whole body."""
    write_time: float = 60.0
    """Seconds that a client may take nothing of its answer before it is cut off."""
    connections: int = 10_000
    in_flight: int = 1_000
    lag: float = 1.0
    """Seconds that the event loop may keep running behind before new requests are refused; 0 looks away."""
    memory: float = 0.95
    """Share of the container's memory limit from which on new requests are refused; 0 looks away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """What SIGTERM does."""

    delay: float = 5.0
    """Seconds of answering 503 on /readyz while still accepting."""
    timeout: float = 600.0
    """Seconds that running requests get to finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The operator's listener."""

    listen: Address = Address("127.0.0.1", 8081)
    token: Secret | None = None
    hosts: tuple[str, ...] = ()
    """Names by which it may be reached besides loopback and the address that it listens on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The app's listener."""

    listen: Address = Address("127.0.0.1", 8080)
    admin: Admin = field(default_factory=Admin)
    client_keys: tuple[Secret, ...] = ()
    limits: Limits = field(default_factory=Limits)
    drain: Drain = field(default_factory=Drain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Where spans go."""

    exporter: str = "otlp"
    """`otlp` or `none`."""
    endpoint: str = ""
    """`http://host:4317` (grpc) or `http://host:4318` (http); empty exports nothing."""
    protocol: str = "grpc"
    """`grpc` or `http`."""
    sample: float = 1.0
    """Share of requests kept when the caller sent no sampling decision."""
    always_keep: frozenset[str] = frozenset({"errors", "failovers"})
    """Traces kept in full however the dice fell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What is told to the world about requests."""

    service_name: str = "sidestep"
    traces: Traces = field(default_factory=Traces)
    content: bool = False
    """Whether prompts and answers are recorded on spans; one switch for every sink."""
