"""Reads a stream of JSON events: cutting, errors, keep-alives, malformed events and the end, for every grammar.

What an event means (is this output? is that the end?) is the grammar's to say: `chat_stream` for chunks, `event_stream`
for typed events. What is forwarded is always whole events, so that an error frame of ours can follow at any time.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from proxy.dialects.classify import Signals, failure_of, read_error, told_by
from proxy.dialects.documents import mapping, read_json
from proxy.dialects.sse import BYTE_ORDER_MARK, Event, Splitter
from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Fed

MALFORMED_LIMIT = 3
"""Unparsable events in one stream that are left out before the stream counts as broken: one may be a hiccup of
somebody's proxy, many are an answer with holes."""


class Taken(NamedTuple):
    """What one event came to."""

    forward: bytes = b""
    output: bool = False
    """Real output; the end of a complete answer counts as that too, since an answer may rightly be empty."""
    ended: bool = False
    failure: Failure | None = None


class Grammar(Protocol):
    """The meaning of one kind of stream."""

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""

    @property
    def text(self) -> str:
        """The answer's text so far, when it is kept."""

    def glance(self, event: Event) -> Taken | None:
        """Judge an event by its bytes alone, exactly as `take` would; None when it has to be parsed."""

    def take(self, event: Event, document: Mapping[str, Any]) -> Taken:
        """Judge one event that is no error."""

    def verdict(self) -> Failure | None:
        """Say what is wrong if the stream ended here; None when the answer is complete."""


class EventReader:
    """The `StreamReader` of every dialect whose events are JSON objects."""

    def __init__(self, grammar: Grammar, signals: Signals) -> None:
        self._grammar = grammar
        self._signals = signals
        self._splitter = Splitter()

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""
        return self._grammar.facts

    @property
    def text(self) -> str:
        """The answer's text so far, when it is kept."""
        return self._grammar.text

    def feed(self, data: bytes) -> Fed:
        """Take the next bytes."""
        events = self._splitter.feed(data)
        fed = self._read(events)
        if self._splitter.overflow and not (fed.ended or fed.failure):
            return Fed(forward=fed.forward, output=fed.output, failure=_broken("an event is larger than 4 MiB"))
        return fed

    def close(self) -> Fed:
        """Judge the end.

        A last event without its blank line is dropped by the standard; a finish, an error or `[DONE]` is believed
        all the same, since servers do forget it.
        """
        rest = self._splitter.close()
        taken = self._take(rest) if rest and rest.data else Taken()
        if taken.failure or taken.ended:
            return Fed(forward=taken.forward, output=taken.output, ended=taken.ended, failure=taken.failure)
        if failure := self._grammar.verdict():
            return Fed(failure=failure)
        return Fed(forward=taken.forward, output=True, ended=True)

    def _read(self, events: list[Event]) -> Fed:
        forward: list[bytes] = []
        output = False
        for event in events:
            taken = self._take(event)
            forward.append(taken.forward)
            output = output or taken.output
            if taken.ended or taken.failure:
                return Fed(forward=b"".join(forward), output=output, ended=taken.ended, failure=taken.failure)
        return Fed(forward=b"".join(forward), output=output)

    def _take(self, event: Event) -> Taken:
        if event.data is None:
            return self._take_dataless(event.raw)
        if (taken := self._grammar.glance(event)) is not None:
            return taken
        if event.data.lstrip().startswith(b"[DONE]"):
            failure = self._grammar.verdict()
            return Taken(failure=failure) if failure else Taken(event.raw, output=True, ended=True)
        try:
            document = read_json(event.data)
        except ValueError:
            return self._take_malformed(event)
        error = _error_of(event, document)
        if error is not None:
            return Taken(failure=failure_of(read_error(error), self._signals, status=200, body=event.data))
        if not isinstance(document, dict):
            return Taken()
        return self._grammar.take(event, document)

    def _take_dataless(self, raw: bytes) -> Taken:
        """Pass comments on; leave out `id`, `retry` or `event` alone, at which the OpenAI SDK for Python stumbles."""
        lines = raw.removeprefix(BYTE_ORDER_MARK).splitlines()
        for line in lines:
            if line.startswith(b"error:"):  # llama.cpp's older servers
                told = told_by(line.removeprefix(b"error:"))
                return Taken(failure=failure_of(told, self._signals, status=200))
        return Taken(raw if all(line[:1] in (b"", b":") for line in lines) else b"")

    def _take_malformed(self, event: Event) -> Taken:
        """Leave out an event that is not JSON. Words (`data: ping`) are a keep-alive; broken objects are counted."""
        if event.type == "error":
            return Taken(failure=failure_of(told_by(event.data or b""), self._signals, status=200))
        if (event.data or b"").lstrip()[:1] in (b"{", b"["):
            self.facts.skipped_events += 1
            if self.facts.skipped_events > MALFORMED_LIMIT:
                return Taken(failure=_broken("too many events of the stream are not JSON"))
        return Taken()


def _error_of(event: Event, document: object) -> object | None:
    """Return what of an event is an error, in any of the shapes that providers use."""
    found = mapping(document)
    if found.get("error") or found.get("object") == "error" or "error" in (event.type, found.get("type")):
        return document
    within = mapping(found.get("x_groq"))
    return within if within.get("error") else None


def _broken(message: str) -> Failure:
    return Failure(error_class=ErrorClass.BROKEN, message=message)
