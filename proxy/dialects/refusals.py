"""Pollinations' refusals dressed as answers: "top up your account" under 200, as chat text, plain or streamed.

Told by three signs together: `Cache-Control: no-store`, a link to enter.pollinations.ai with a `ref=agent_...`, and no
tokens used. In a stream the text is held back until it is ruled out, or else failover would never happen.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from proxy.dialects.answers import soft
from proxy.dialects.stream import EventReader
from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Fed, Head

LOST_STREAM = "Streaming response could not be processed."
"""The whole answer of a server that lost its upstream stream."""

HOLD = 2000
"""Characters within which the link of a refusal stands, if it is one."""

_LINK = re.compile(r"enter\.pollinations\.ai/\S*ref=(agent_[a-z_]+)")
_CLASSES: Mapping[str, ErrorClass] = MappingProxyType(
    {
        "agent_low_balance": ErrorClass.QUOTA,
        "agent_key_budget": ErrorClass.QUOTA,
        "agent_quest": ErrorClass.QUOTA,
        "agent_grant": ErrorClass.UNSUPPORTED,  # this key may not use this model; it may use others
    }
)


def refusal(text: str, facts: AnswerFacts, head: Head) -> Failure | None:
    """Judge a finished answer by its text; None when it is a real one."""
    if text.strip() == LOST_STREAM:
        return soft("the provider lost its own stream")
    found = _LINK.search(text[: 2 * HOLD]) if _unstored(head) and not _spent(facts) else None
    error_class = _CLASSES.get(found.group(1)) if found else None
    if error_class is None:
        return None
    return Failure(error_class=error_class, message="the provider refused in the words of an answer", status=402)


class RefusalReader:
    """Wraps a chat reader that keeps its text; holds output back while it may still turn out to be a refusal."""

    def __init__(self, inner: EventReader, head: Head, *, keep_text: bool) -> None:
        self._inner = inner
        self._head = head
        self._keep_text = keep_text
        self._held: list[bytes] | None = []

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""
        return self._inner.facts

    @property
    def text(self) -> str:
        """The answer's text so far, when it was asked for."""
        return self._inner.text if self._keep_text else ""

    def feed(self, data: bytes) -> Fed:
        """Take the next bytes."""
        return self._sift(self._inner.feed(data))

    def close(self) -> Fed:
        """Take note that the upstream ended."""
        return self._sift(self._inner.close())

    def _sift(self, fed: Fed) -> Fed:
        if self._held is None:
            return fed
        text = self._inner.text
        if fed.failure is not None:  # what is held back was never seen, so another provider may still answer
            return Fed(failure=fed.failure)
        if fed.ended:
            failure = refusal(text, self.facts, self._head)
            return Fed(failure=failure) if failure else self._release(fed)
        if not fed.output and not text:
            return fed
        if not text or not self._suspicious(text):  # reasoning or a tool call: a refusal has neither
            return self._release(fed)
        self._held.append(fed.forward)
        return Fed()

    def _release(self, fed: Fed) -> Fed:
        held = b"".join(self._held or ())
        self._held = None
        if not self._keep_text:
            self._inner.forget()
        return replace(fed, forward=held + fed.forward, output=True)

    def _suspicious(self, text: str) -> bool:
        if LOST_STREAM.startswith(text.strip()):
            return True
        if not _unstored(self._head) or _spent(self.facts):
            return False
        return len(text) < HOLD or _LINK.search(text[: 2 * HOLD]) is not None


def _unstored(head: Head) -> bool:
    return "no-store" in head.headers.get("cache-control", "").lower()


def _spent(facts: AnswerFacts) -> bool:
    """Whether tokens were used; unknown counts as no."""
    return bool(facts.input_tokens or facts.output_tokens)
