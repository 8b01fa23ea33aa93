"""The text that the lab's providers answer with, and the proof that a reader got all of it, in order, from one of them.

`p1:17:0 p1:17:1 p1:17:2 = the question` are three tokens of provider `p1` in answer to its 17th request, and an echo of
what it was asked. Mixing, loss and duplication show in the tokens, cross-talk between connections in the echo.
"""

from dataclasses import dataclass

ECHO_LIMIT = 200
"""Characters of the question that are echoed; a 20 MiB prompt is not sent back."""


def token(provider: str, request: int, sequence: int) -> str:
    """Write one token, its separating space included."""
    return f"{provider}:{request}:{sequence} "


def echo(question: str) -> str:
    """Write the last piece of an answer."""
    return f"= {question[:ECHO_LIMIT]}"


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer's text turned out to be."""

    provider: str
    request: int
    count: int
    """How many tokens, numbered from 0 without a gap."""
    echo: str | None
    """The question; None when the answer was cut before it."""


def read(text: str) -> Told:
    """Read an answer back; raises AssertionError when tokens are mixed, lost, doubled or out of order."""
    told, separator, question = text.partition("= ")
    parts = [word.rsplit(":", 2) for word in told.split()]
    assert parts, f"no token in {text[:80]!r}"
    sources = {(provider, int(request)) for provider, request, _ in parts}
    assert len(sources) == 1, f"tokens of several answers: {sorted(sources)}"
    sequence = [int(number) for _, _, number in parts]
    assert sequence == list(range(len(sequence))), f"tokens lost, doubled or out of order: {sequence}"
    (provider, request), *_ = sources
    return Told(provider, request, len(sequence), question if separator else None)
