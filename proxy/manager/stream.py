"""A streamed completion put together again: its text as it comes, the rest when it has ended. Pure."""

from typing import Any

from proxy.dialects.documents import mapping, mappings, read_json, text
from proxy.dialects.sse import Event, Splitter
from proxy.manager.backend import Answer, Document
from proxy.manager.results import ErrorResult, TextResult, bad_answer, completed, error_result

_DONE = b"[DONE]"


class StreamedText:
    """Feed it bytes, send on what it returns, and ask for its end once nothing follows."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._splitter = Splitter()
        self._calls: dict[int, Document] = {}
        self._model = ""
        self._finish_reason: str | None = None
        self._usage: Document | None = None
        self._error: ErrorResult | None = None
        self._done = False

    def feed(self, data: bytes) -> str:
        """Return the text that these bytes bring."""
        return "".join(self._take(event) for event in self._splitter.feed(data))

    def break_off(self, reason: str) -> None:
        """Nothing more will come, although the stream has not ended."""
        if not self._done:
            self._error = self._error or bad_answer(self._answer, reason)

    def end(self) -> TextResult | ErrorResult:
        """Return what the stream told besides its text, or why it is not whole."""
        if self._error is not None:
            return self._error
        if not self._done:
            return bad_answer(self._answer, "the stream ended before the answer was complete")
        return completed(
            self._answer,
            content="",
            model=self._model,
            finish_reason=self._finish_reason,
            tool_calls=[self._calls[index] for index in sorted(self._calls)],
            usage=self._usage,
        )

    def _take(self, event: Event) -> str:
        if event.data is None or self._error is not None:
            return ""
        if event.data.strip() == _DONE:
            self._done = True
            return ""
        try:
            chunk = mapping(read_json(event.data))
        except ValueError:
            self._error = bad_answer(self._answer, "the stream holds something that is not JSON")
            return ""
        if chunk.get("error"):
            self._error = error_result(self._answer, chunk)
            return ""
        self._model = text(chunk.get("model")) or self._model
        self._usage = dict(mapping(chunk.get("usage"))) or self._usage
        choice = next((each for each in mappings(chunk.get("choices")) if not each.get("index")), {})
        self._finish_reason = text(choice.get("finish_reason")) or self._finish_reason
        delta = mapping(choice.get("delta"))
        for piece in mappings(delta.get("tool_calls")):
            self._add(mapping(piece))
        return text(delta.get("content")) or text(delta.get("refusal"))

    def _add(self, piece: Any) -> None:  # noqa: ANN401  any JSON object
        """Add a piece of a tool call: the first of each index names it, the others go on with its arguments."""
        position = piece.get("index")
        index = position if isinstance(position, int) else len(self._calls)
        blank: Document = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._calls.setdefault(index, blank)
        told = mapping(piece.get("function"))
        call["id"] = text(piece.get("id")) or call["id"]
        call["function"]["name"] += text(told.get("name"))
        call["function"]["arguments"] += text(told.get("arguments"))
