"""Reads a stream of JSON events: cutting, errors, keep-alives, malformed events and the end, for every grammar.

What an event means (is this output? is that the end?) is the grammar's to say: `chat_stream` for chunks, `event_stream`
for typed events. What is forwarded is always whole events, so that an error frame of ours can follow at any time.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from proxy.dialects.classify import Signals, failure_of, read_error, told_by
from proxy.dialects.documents import mapping, read_json
from proxy.dialects.plain import Plain
from proxy.dialects.sse import BYTE_ORDER_MARK, Event, Splitter
from proxy.dialects.stencil import Stencil
from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Fed

MALFORMED_LIMIT = 3
"""Unparsable events in one stream that are left out before the stream counts as broken: one may be a hiccup of
somebody's proxy, many are an answer with holes."""

FIRSTS = 8
"""Events at the start that are taken one at a time, for what they teach may spare us looking at those behind them."""

UNFIT = 4
"""Stencils in a row that fit nothing, after which none is made any more: each event differs in more than its text."""


class Grammar(Protocol):
    """The meaning of one kind of stream."""

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""

    @property
    def text(self) -> str:
        """The answer's text so far, when it is kept."""

    def forget(self) -> None:
        """Keep no more text; what was kept is gone."""

    def glance(self, event: Event) -> Plain | None:
        """Recognise output by its bytes alone, as `take` would judge it; None when the event has to be parsed."""

    def take(self, event: Event, document: Mapping[str, Any]) -> Fed:
        """Judge one event that is no error."""

    def verdict(self) -> Failure | None:
        """Say what is wrong if the stream ended here; None when the answer is complete."""


class EventReader:
    """The `StreamReader` of every dialect whose events are JSON objects."""

    def __init__(self, grammar: Grammar, signals: Signals) -> None:
        self._grammar = grammar
        self._signals = signals
        self._splitter = Splitter()
        self._firsts = FIRSTS
        self._stencil: Stencil | None = None
        self._fitted = False  # whether anything has matched it
        self._unfit = 0  # how many in a row did not match anything
        self._skimming = False  # whether nothing is left of the last piece, and the splitter at a beginning

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""
        return self._grammar.facts

    @property
    def text(self) -> str:
        """The answer's text so far, when it is kept."""
        return self._grammar.text

    def forget(self) -> None:
        """Keep no more text, which makes reading cheaper; what was kept is gone."""
        self._grammar.forget()

    def feed(self, data: bytes) -> Fed:
        """Take the next bytes."""
        if self._stencil is not None and (self._skimming or b"\n\n" in data):
            whole = data if self._skimming else self._splitter.begun + data
            forward, end = self._stencil.run(whole)
            if end:
                if not self._skimming:
                    self._skimming = self._fitted = True
                    self._splitter.begin_anew()
                skimmed = Fed(forward, output=True)
                return skimmed if end == len(whole) else _together(skimmed, self._read(whole[end:]))
        if self._firsts and 2 <= (cut := data.find(b"\n\n") + 2) < len(data):
            self._firsts -= 1
            first = self._read(data[:cut])
            return first if first.ended or first.failure else _together(first, self.feed(data[cut:]))
        return self._read(data)

    def close(self) -> Fed:
        """Judge the end.

        A last event without its blank line is dropped by the standard; a finish, an error or `[DONE]` is believed
        all the same, since servers do forget it.
        """
        rest = self._splitter.close()
        taken = self._take(rest) if rest and rest.data else Fed()
        if taken.failure or taken.ended:
            return taken
        if failure := self._grammar.verdict():
            return Fed(failure=failure)
        return Fed(forward=taken.forward, output=True, ended=True)

    def _read(self, data: bytes) -> Fed:
        """Take events one by one."""
        self._skimming = False
        forward: list[bytes] = []
        output = False
        for event in self._splitter.feed(data):
            taken = self._take(event)
            forward.append(taken.forward)
            output = output or taken.output
            if taken.ended or taken.failure:
                return Fed(b"".join(forward), output=output, ended=taken.ended, failure=taken.failure)
        failure = _broken("an event is larger than 4 MiB") if self._splitter.overflow else None
        return Fed(b"".join(forward), output=output, failure=failure)

    def _take(self, event: Event) -> Fed:
        if event.data is None:
            return self._take_dataless(event.raw)
        if (plain := self._grammar.glance(event)) is not None:
            self._learn(plain)
            return Fed(plain.forward, output=True)
        if event.data.lstrip().startswith(b"[DONE]"):
            failure = self._grammar.verdict()
            return Fed(failure=failure) if failure else Fed(event.raw, output=True, ended=True)
        try:
            document = read_json(event.data)
        except ValueError:
            return self._take_malformed(event)
        error = _error_of(event, document)
        if error is not None:
            return Fed(failure=failure_of(read_error(error), self._signals, status=200, body=event.data))
        if not isinstance(document, dict):
            return Fed()
        return self._grammar.take(event, document)

    def _learn(self, plain: Plain) -> None:
        """Expect more of this kind, unless that was in vain several times: then each differs in more than its text."""
        if self._unfit >= UNFIT:
            return
        if self._stencil is not None:
            self._unfit = 0 if self._fitted else self._unfit + 1
        self._stencil = Stencil(plain) if self._unfit < UNFIT else None
        self._fitted = False

    def _take_dataless(self, raw: bytes) -> Fed:
        """Pass comments on; leave out `id`, `retry` or `event` alone, at which the OpenAI SDK for Python stumbles."""
        lines = raw.removeprefix(BYTE_ORDER_MARK).splitlines()
        for line in lines:
            if line.startswith(b"error:"):  # llama.cpp's older servers
                told = told_by(line.removeprefix(b"error:"))
                return Fed(failure=failure_of(told, self._signals, status=200))
        return Fed(raw if all(line[:1] in (b"", b":") for line in lines) else b"")

    def _take_malformed(self, event: Event) -> Fed:
        """Leave out an event that is not JSON. Words (`data: ping`) are a keep-alive; broken objects are counted."""
        if event.type == "error":
            return Fed(failure=failure_of(told_by(event.data or b""), self._signals, status=200))
        if (event.data or b"").lstrip()[:1] in (b"{", b"["):
            self.facts.skipped_events += 1
            if self.facts.skipped_events > MALFORMED_LIMIT:
                return Fed(failure=_broken("too many events of the stream are not JSON"))
        return Fed()


def _error_of(event: Event, document: object) -> object | None:
    """Return what of an event is an error, in any of the shapes that providers use."""
    found = mapping(document)
    if found.get("error") or found.get("object") == "error" or "error" in (event.type, found.get("type")):
        return document
    within = mapping(found.get("x_groq"))
    return within if within.get("error") else None


def _together(first: Fed, second: Fed) -> Fed:
    output = first.output or second.output
    return Fed(first.forward + second.forward, output=output, ended=second.ended, failure=second.failure)


def _broken(message: str) -> Failure:
    return Failure(error_class=ErrorClass.BROKEN, message=message)
