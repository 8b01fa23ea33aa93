"""The grammar of chat and completion chunks: what is output, when every choice is finished, whose usage is told."""

from collections.abc import Mapping
from typing import Any

from proxy.dialects.answers import emptiness, failed_choice, speaks
from proxy.dialects.classify import Signals
from proxy.dialects.documents import mapping, mappings, text, write_json
from proxy.dialects.facts import note
from proxy.dialects.plain import Plain, plain_chunk
from proxy.dialects.splice import without_null_usage
from proxy.dialects.sse import Event
from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Fed, Request

TEXT_LIMIT = 64 * 1024
"""Characters of an answer that are kept for telemetry."""
_BEGIN = b"data: "


class KeptText:
    """The beginning of an answer's text, for those who asked to keep it."""

    def __init__(self, *, wanted: bool) -> None:
        self.room = TEXT_LIMIT if wanted else 0
        """Characters that are still wanted."""
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Keep what there is room for."""
        if self.room and piece:
            self._pieces.append(piece[: self.room])
            self.room -= len(self._pieces[-1])

    def forget(self) -> None:
        """Keep nothing any more."""
        self.room = 0
        self._pieces.clear()

    def __str__(self) -> str:
        return "".join(self._pieces)


class ChatGrammar:
    """Reads `chat.completion.chunk` and `text_completion` events.

    Complete means that every choice that began has a finish reason. `[DONE]` proves nothing: gateways append it to
    truncated answers; and some servers never send it, so that its absence proves nothing either.
    """

    def __init__(self, request: Request, signals: Signals, *, keep_text: bool = False) -> None:
        self.facts = AnswerFacts()
        self._request = request
        self._signals = signals
        self._kept = KeptText(wanted=keep_text)
        self._finishes: dict[int, str] = {}
        self._spoke = False

    @property
    def text(self) -> str:
        """The first choice's text so far."""
        return str(self._kept)

    def forget(self) -> None:
        """Keep no more text; what was kept is gone."""
        self._kept.forget()

    def glance(self, event: Event) -> Plain | None:
        """Recognise a plain piece of output, once the first chunk has told what all of them tell."""
        if not (0 in self._finishes and self.facts.id and self.facts.model) or self._kept.room:
            return None
        data = event.data or b""
        came = plain_chunk(data) if event.type == "message" else None
        if came is None:
            return None
        if self._request.wants_usage or b'"usage"' not in data:
            self._spoke = True
            return Plain(event.raw, _BEGIN, came)
        kept = without_null_usage(data) or b""
        shown = plain_chunk(kept)
        if shown is None:
            return None
        self._spoke = True
        return Plain(_written(event, kept), _BEGIN, came, shown)

    def take(self, event: Event, document: Mapping[str, Any]) -> Fed:
        """Judge one chunk; usage that the client did not ask for is taken out of it."""
        note(self.facts, document)
        choices = mappings(document.get("choices"))
        output = False
        for choice in choices:
            if failure := failed_choice(choice, self._signals):
                return Fed(failure=failure)
            self._note_choice(choice)
            output = speaks(choice) or output
        self._spoke = self._spoke or output
        if "usage" in document and not self._request.wants_usage:
            if document["usage"] and not choices:
                return Fed()
            return Fed(_without_usage(event, document), output)
        return Fed(event.raw, output)

    def verdict(self) -> Failure | None:
        """Say what is wrong if the stream ended here; None when the answer is complete."""
        if not self._finishes or "" in self._finishes.values():
            return Failure(error_class=ErrorClass.BROKEN, message="the stream ended before the answer was complete")
        return None if self._spoke else emptiness(self._finishes.values(), self.facts, self._request)

    def _note_choice(self, choice: Mapping[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        reason = text(choice.get("finish_reason"))
        if reason or index not in self._finishes:
            self._finishes[index] = reason
            self.facts.finish_reasons = tuple(filter(None, self._finishes.values()))
        if index == 0:
            said = mapping(choice.get("delta"))
            self._kept.add(text(said.get("content")) or text(choice.get("text")))


def _without_usage(event: Event, document: Mapping[str, Any]) -> bytes:
    data = event.data or b""
    kept = without_null_usage(data) if document["usage"] is None else None
    if kept is None:
        kept = write_json({name: value for name, value in document.items() if name != "usage"})
    return _written(event, kept)


def _written(event: Event, data: bytes) -> bytes:
    """An event of the same type with other data."""
    kind = b"" if event.type == "message" else b"event: " + event.type.encode() + b"\n"
    return kind + _BEGIN + data + b"\n\n"
