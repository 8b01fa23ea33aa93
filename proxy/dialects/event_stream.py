"""The grammar of typed events (the Responses API, streamed images, speech, transcripts), which end without `[DONE]`."""

from collections.abc import Mapping
from typing import Any

from proxy.dialects.answers import emptiness
from proxy.dialects.chat_stream import KeptText
from proxy.dialects.classify import Signals, failure_of, read_error
from proxy.dialects.documents import count, mapping, solid, text
from proxy.dialects.facts import note
from proxy.dialects.plain import Plain, plain_delta
from proxy.dialects.sse import Event
from proxy.errors import ErrorClass, Failure
from proxy.messages import AnswerFacts, Fed, Operation, Request

_ENDS = frozenset({"response.completed", "response.incomplete", "speech.audio.done", "transcript.text.done"})
_PICTURE_ENDS = frozenset({"image_generation.completed", "image_edit.completed"})
_FAILS = frozenset({"response.failed", "response.error", "response.cancelled"})
_OUTPUT_SUFFIXES = (".delta", ".partial_image", ".segment", ".done")
_OUTPUT_KEYS = (
    "delta",
    "text",
    "refusal",
    "arguments",
    "input",
    "audio",
    "b64_json",
    "partial_image_b64",
    "item",
    "code",
)


class TypedGrammar:
    """Reads events whose `type` tells what they are. Complete at the terminal event of their family."""

    def __init__(self, request: Request, signals: Signals, *, keep_text: bool = False) -> None:
        self.facts = AnswerFacts()
        self._request = request
        self._signals = signals
        self._kept = KeptText(wanted=keep_text)
        wanted = count(request.document.get("n")) if request.operation is Operation.IMAGES else None
        self._pictures_due = wanted or 1
        self._pictures = 0
        self._spoke = False

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return str(self._kept)

    def forget(self) -> None:
        """Keep no more text; what was kept is gone."""
        self._kept.forget()

    def glance(self, event: Event) -> Plain | None:
        """Recognise a delta that tells nothing else than a piece of output."""
        if self._kept.room or not event.type.endswith(".delta"):
            return None
        came = plain_delta(event.data or b"")
        if came is None:
            return None
        self._spoke = True
        return Plain(event.raw, b"event: " + event.type.encode() + b"\ndata: ", came)

    def take(self, event: Event, document: Mapping[str, Any]) -> Fed:
        """Judge one event by its type."""
        kind = text(document.get("type")) or event.type
        response = mapping(document.get("response"))
        note(self.facts, response or document)
        if kind in _FAILS:
            failure = failure_of(read_error(response or document), self._signals, status=200)
            return Fed(failure=failure)
        output = kind.endswith(_OUTPUT_SUFFIXES) and any(solid(document.get(key)) for key in _OUTPUT_KEYS)
        if kind in {"response.output_text.delta", "transcript.text.delta"}:
            self._kept.add(text(document.get("delta")))
        if kind in _PICTURE_ENDS:
            output = bool(text(document.get("b64_json")))
            self._pictures += output
        self._spoke = self._spoke or output or solid(response.get("output"))
        if kind in _ENDS or self._pictures >= self._pictures_due:
            return self._finish(event, response)
        return Fed(event.raw, output)

    def verdict(self) -> Failure | None:
        """Say what is wrong if the stream ended here: the terminal event has not come, unless some pictures have."""
        if self._pictures:
            return None
        return Failure(error_class=ErrorClass.BROKEN, message="the stream ended before the answer was complete")

    def _finish(self, event: Event, response: Mapping[str, Any]) -> Fed:
        reason = text(mapping(response.get("incomplete_details")).get("reason"))
        reason = {"": "stop", "max_output_tokens": "length"}.get(reason, reason)
        self.facts.finish_reasons = (reason,)
        # A transcript may rightly be empty: the recording was silent.
        may_be_empty = self._spoke or self._request.operation in {Operation.TRANSCRIPTIONS, Operation.TRANSLATIONS}
        failure = None if may_be_empty else emptiness((reason,), self.facts, self._request)
        return Fed(failure=failure) if failure else Fed(event.raw, output=True, ended=True)
