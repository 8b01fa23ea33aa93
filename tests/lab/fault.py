"""What a fault is, and where all of them are registered by name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from lab.exchange import Exchange
from lab.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is to go wrong with one request. `name` is a function of `lab.faults`, `arg` its one parameter."""

    name: str = "ok"
    arg: str = ""
    body: Any = None
    """For `status`: the body instead of the flavour's own; a str or bytes is sent as it is, anything else as JSON."""
    headers: Mapping[str, str] | None = None
    """For `status`: added headers."""

    @classmethod
    def parse(cls, text: "str | Fault") -> "Fault":
        """Read `name` or `name:arg`."""
        if isinstance(text, Fault):
            return text
        name, _, arg = text.partition(":")
        return cls(name=name.replace("-", "_"), arg=arg)

    def number(self, default: float) -> float:
        """The argument as a number."""
        return float(self.arg or default)

    def count(self, default: int) -> int:
        """The argument as a whole number."""
        return int(self.arg or default)


def status(code: int, body: Any = None, **headers: str) -> Fault:
    """Answer with a status: `status(429, retry_after="3")`; underscores in header names become hyphens."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(name="status", arg=str(code), body=body, headers=fields)


Strike = Callable[[Exchange, Fault], Awaitable[None]]
ConnectStrike = Callable[[Wire], Awaitable[None]]

FAULTS: dict[str, Strike] = {}
AT_CONNECT: dict[str, ConnectStrike] = {}
"""Faults that strike before a request is read. On a connection that is in use already they strike after."""
BEFORE_BODY: set[str] = set()
"""Faults that strike between a request's headers and its body; a model's name cannot choose them."""


def fault(strike: Strike) -> Strike:
    """Register a fault under its function's name."""
    FAULTS[strike.__name__] = strike
    return strike


def fault_of_stream(otherwise: str) -> Callable[[Strike], Strike]:
    """Register a fault of streams; a plain request meets the fault named `otherwise` instead."""

    def register(strike: Strike) -> Strike:
        @wraps(strike)
        async def strike_either(exchange: Exchange, how: Fault) -> None:
            await (strike if exchange.asked.streaming else FAULTS[otherwise])(exchange, how)

        FAULTS[strike.__name__] = strike_either
        return strike

    return register


def before_body(strike: Strike) -> Strike:
    """Register a fault that does not wait for the request's body."""
    BEFORE_BODY.add(strike.__name__)
    return fault(strike)


def at_connect(strike: ConnectStrike) -> ConnectStrike:
    """Register a fault of the connection itself."""
    AT_CONNECT[strike.__name__] = strike

    @wraps(strike)
    async def strike_late(exchange: Exchange, _: Fault) -> None:
        await strike(exchange.wire)

    FAULTS[strike.__name__] = strike_late
    return strike
