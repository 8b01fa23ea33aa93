"""The scene of the demo: two simulated providers and a real sidecar in front of them, all on free loopback ports."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.clock import Clock
from proxy.config.load import load
from proxy.demo.provider import SimulatedProvider
from proxy.registry import ProviderState
from proxy.server.sidecar import Sidecar

ROUTES = Path(__file__).with_name("routes.yaml")
TOKEN = "demo"  # noqa: S105  it guards two simulated providers, for as long as the demo runs
"""The admin listener's token, told to whoever plays."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The clocks of the demo's breaker, seconds."""

    open_for: float
    """How long the breaker stays open the first time."""
    max_open_for: float
    """How long at most, when the provider is still down at the next look."""
    ramp: float
    """How long the primary takes to get all its traffic back."""

    @classmethod
    def within(cls, length: float) -> "Pace":
        """Short enough for an outage and the return from it to be seen within `length` seconds."""
        return cls(open_for=length * 0.1, max_open_for=length * 0.15, ramp=length * 0.15)

    def variables(self) -> dict[str, str]:
        """As routes.yaml and its policy ask for them."""
        seconds = {"OPEN_FOR": self.open_for, "MAX_OPEN_FOR": self.max_open_for, "RAMP": self.ramp}
        return {name: f"{value * 1000:.0f}ms" for name, value in seconds.items()}


@dataclass(frozen=True, slots=True)
class Scene:
    """Who takes part."""

    clock: Clock
    primary: SimulatedProvider
    secondary: SimulatedProvider
    sidecar: Sidecar

    @property
    def base_url(self) -> str:
        """What an app would set as OPENAI_BASE_URL."""
        return f"http://{self.sidecar.address}/v1"

    @property
    def providers(self) -> tuple[SimulatedProvider, SimulatedProvider]:
        """Both, the primary first."""
        return self.primary, self.secondary

    def state(self, name: str) -> ProviderState:
        """What the sidecar knows about a provider."""
        engine = self.sidecar.engine
        return engine.registry.provider(engine.generation.snapshot.providers[name], "chat")


@asynccontextmanager
async def set_up(clock: Clock, pace: Pace, environment: Mapping[str, str]) -> AsyncIterator[Scene]:
    """Start everything, and take it down at the end, however that comes. Raises ConfigError or ListenError."""
    async with SimulatedProvider("primary", clock) as primary, SimulatedProvider("secondary", clock) as secondary:
        urls = {"PRIMARY_URL": primary.base_url, "SECONDARY_URL": secondary.base_url, "TOKEN": TOKEN}
        sidecar = Sidecar(load(ROUTES, None, {**environment, **urls, **pace.variables()}))
        try:
            await sidecar.start()
            yield Scene(clock, primary, secondary, sidecar)
        finally:
            await sidecar.close()
