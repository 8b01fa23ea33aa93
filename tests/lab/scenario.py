"""What a scenario is: what is broken, what is expected, and what is done to find out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.fault import Fault
from lab.ways import DOWN

if TYPE_CHECKING:
    from lab.stage import Stage

__all__ = ["DOWN", "Scenario", "scenario", "scenarios_in"]

Play = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the laboratory's table."""

    name: str
    chapter: str
    expected: str
    """In one sentence, for the reader of the table."""
    play: Play
    fault: str | Fault = "ok"
    """What is wrong with the primary."""
    second: str | Fault = "ok"
    """What is wrong with the secondary."""
    primary: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the primary as the configuration describes it."""
    secondary: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the lab's policy."""
    certificate: str = ""
    """The primary speaks TLS with this certificate of `lab.tls.Authority`; empty: it does not."""
    images: bool = False
    """The primary speaks Pollinations', and there is a route for images."""
    portable: bool = False
    """Whether it needs nothing but a gateway with the two upstreams behind it."""
    lasting: bool = False
    """Whether a provider is rightly left alone for minutes afterwards; a foreign gateway plays these last."""
    fast: bool = False
    """Whether it is played with the tests too."""
    alone: bool = False
    """Whether it starts a program of its own; the shared one then has no part in it."""
    needs: str = ""
    """One of `lab.programs`; where it is not installed, the scenario is left out."""


def scenario(chapter: str, expected: str, **fields: Any) -> Callable[[Play], Scenario]:
    """Make a function a scenario, named like it."""

    def make(play: Play) -> Scenario:
        name = play.__name__.replace("_", " ")
        return Scenario(name=name, chapter=chapter, expected=expected, play=play, **fields)

    return make


def scenarios_in(namespace: Mapping[str, Any]) -> list[Scenario]:
    """Return what a module's functions were made into, in their order."""
    return [each for each in namespace.values() if isinstance(each, Scenario)]
