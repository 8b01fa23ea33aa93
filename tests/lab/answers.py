"""What an honest provider says, endpoint by endpoint and flavour by flavour. Pure: a request in, documents out.

Flavours differ as the real ones do: `openai`; `openrouter` names the provider behind it and sends comments while it
thinks; `pollinations` (the legacy text and image hosts) has string errors, milliseconds and trailers; `gen` (their
newer gateway) has its own error envelope.
"""

import base64
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lab import tokens
from lab.http1 import Headers
from lab.images import picture

CREATED = 1_760_000_000
Document = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Received:
    """One request as it arrived."""

    number: int
    """Counts the requests of this upstream from 1."""
    connection: int
    method: str
    target: str
    """The request target, raw: path and query as they stood on the wire."""
    headers: Headers
    at: float
    """Event-loop seconds at which its headers were complete."""
    body: bytes = b""
    document: Any = None
    """The body as JSON, or None."""
    fault: str = ""
    """The name of the fault that it met."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded; the first of each name."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def get(self, name: str, default: Any = None) -> Any:
        """Read a field of the JSON body."""
        return self.document.get(name, default) if isinstance(self.document, dict) else default

    @property
    def streaming(self) -> bool:
        """Whether a stream of events was asked for."""
        return bool(self.get("stream"))

    @property
    def question(self) -> str:
        """What the answer echoes: the last user message, else whatever stands in its place."""
        for message in reversed(self.get("messages") or []):
            if message.get("role") == "user":
                content = message.get("content")
                parts = content if isinstance(content, list) else [{"text": content}]
                return "".join(str(part.get("text") or "") for part in parts)
        text = self.get("prompt") or self.get("input") or unquote(self.path.rpartition("/")[2])
        return text if isinstance(text, str) else json.dumps(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """A streamed answer, taken apart so that a fault can stop after any part."""

    role: Document
    output: list[Document] = field(repr=False)
    """One document per token or piece of a tool call; the echo is the last."""
    finish: Document
    usage: Document | None
    """Sent only to who asked for it."""

    @property
    def whole(self) -> list[Document | str]:
        """All of it in order, [DONE] included."""
        usage = [] if self.usage is None else [self.usage]
        return [self.role, *self.output, self.finish, *usage, "[DONE]"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One provider: its name, how it speaks, and how much it says."""

    name: str
    flavour: str
    tokens: int

    def chat(self, asked: Received) -> Document:
        """A `chat.completion`."""
        message, reason = self._message(asked)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        document = self._envelope(asked, "chat.completion") | {"choices": [choice], "usage": self._usage(asked)}
        if self.flavour == "openrouter":
            choice["native_finish_reason"] = reason
        return document

    def events(self, asked: Received) -> Events:
        """The same answer as `chat.completion.chunk`s."""
        message, reason = self._message(asked)
        pieces: list[Document] = [{"content": word} for word in self._words(asked)]
        if calls := message.get("tool_calls"):
            pieces = list(_call_pieces(calls))
        elif _wants_json(asked):
            pieces = [{"content": message["content"]}]
        asked_usage = (asked.get("stream_options") or {}).get("include_usage")
        envelope = self._envelope(asked, "chat.completion.chunk")
        return Events(
            role=self._chunk(asked, {"role": "assistant", "content": None if calls else ""}),
            output=[self._chunk(asked, piece) for piece in pieces],
            finish=self._chunk(asked, {}, reason),
            usage=envelope | {"choices": [], "usage": self._usage(asked)} if asked_usage else None,
        )

    def error(self, status: int, message: str, code: str | None = None) -> Document:
        """An error body in this flavour's shape."""
        match self.flavour:
            case "pollinations":
                return {"error": message, "status": status, "details": {}}
            case "gen":
                stamp = "2026-01-02T03:04:05.000Z"
                fields = {"code": code or GEN_CODES.get(status, "UNKNOWN_ERROR"), "message": message}
                return {"success": False, "status": status, "error": fields | {"timestamp": stamp, "details": {}}}
            case "openrouter":
                return {"error": {"code": status, "message": message, "metadata": {"error_type": code or "server"}}}
            case _:
                kind = "invalid_request_error" if 400 <= status < 500 else "server_error"
                return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def embeddings(self, asked: Received) -> Document:
        """One vector per input, as floats or as base64 of little-endian float32."""
        given = asked.get("input", "")
        inputs = given if isinstance(given, list) else [given]
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(text, asked.get("encoding_format"))}
            for index, text in enumerate(inputs)
        ]
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        return {"object": "list", "data": data, "model": asked.get("model"), "usage": usage}

    def images(self, asked: Received) -> Document:
        """A picture inside JSON."""
        width, _, height = str(asked.get("size", "64x64")).partition("x")
        painted = picture(int(width), int(height), asked.question, "PNG")
        entry = {"b64_json": base64.b64encode(painted).decode(), "revised_prompt": asked.question}
        return {"created": CREATED, "data": [entry]}

    def transcription(self, asked: Received) -> Document:
        """What was heard: the size of the upload."""
        return {"text": f"{len(asked.body)} bytes heard by {self.name}"}

    def models(self, _: Received) -> Document:
        """The list of models."""
        ids = [f"{self.name}-small", f"{self.name}-large"]
        entries = [{"id": name, "object": "model", "created": CREATED, "owned_by": self.name} for name in ids]
        return {"object": "list", "data": entries}

    def completion(self, asked: Received) -> Document:
        """A legacy `text_completion`."""
        choice = {"text": "".join(self._words(asked)), "index": 0, "logprobs": None, "finish_reason": "stop"}
        return self._envelope(asked, "text_completion") | {"choices": [choice], "usage": self._usage(asked)}

    def response(self, asked: Received) -> Document:
        """A `response` of the Responses API."""
        text = {"type": "output_text", "text": "".join(self._words(asked)), "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
        usage = {"input_tokens": 7, "output_tokens": self.tokens, "total_tokens": 7 + self.tokens}
        envelope = {"id": f"resp_{self.name}_{asked.number}", "object": "response", "created_at": CREATED}
        answer = {"status": "completed", "model": asked.get("model"), "output": [message], "usage": usage}
        return envelope | answer | {"error": None, "incomplete_details": None}

    def moderation(self, asked: Received) -> Document:
        """A verdict on nothing in particular."""
        verdict = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.01}}
        return {"id": f"modr-{asked.number}", "model": asked.get("model"), "results": [verdict]}

    def _words(self, asked: Received) -> list[str]:
        count = min(self.tokens, int(asked.get("max_tokens") or self.tokens))
        words = [tokens.token(self.name, asked.number, sequence) for sequence in range(count)]
        return [*words, tokens.echo(asked.question)]

    def _message(self, asked: Received) -> tuple[Document, str]:
        """The assistant's message and why it ended: a tool call when tools were offered and not yet answered."""
        offered = asked.get("tools")
        answered = any(message.get("role") == "tool" for message in asked.get("messages") or [])
        if offered and not answered and asked.get("tool_choice") != "none":
            arguments = json.dumps({"echo": asked.question[: tokens.ECHO_LIMIT], "by": self.name})
            function = {"name": offered[0]["function"]["name"], "arguments": arguments}
            call = {"id": f"call_{self.name}_{asked.number}", "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        text = "".join(self._words(asked))
        if _wants_json(asked):
            text = json.dumps({"text": text})
        return {"role": "assistant", "content": text, "refusal": None}, "stop"

    def _envelope(self, asked: Received, kind: str) -> Document:
        made = {"id": f"chatcmpl-{self.name}-{asked.number}", "object": kind, "created": CREATED}
        document = made | {"model": asked.get("model") or "default"}
        if self.flavour == "openrouter":
            document |= {"id": f"gen-{self.name}-{asked.number}", "provider": "LabHost"}
        if self.flavour == "pollinations":
            document |= {"id": f"pllns_{asked.number:032x}", "created": CREATED * 1000, "user_tier": "anonymous"}
        return document

    def _chunk(self, asked: Received, delta: Document, reason: str | None = None) -> Document:
        choice: Document = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        if self.flavour == "openrouter":
            choice["native_finish_reason"] = reason
        return self._envelope(asked, "chat.completion.chunk") | {"choices": [choice]}

    def _usage(self, asked: Received) -> Document:
        said = len(self._words(asked)) - 1
        return {"prompt_tokens": 7, "completion_tokens": said, "total_tokens": 7 + said}


GEN_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
}


def _wants_json(asked: Received) -> bool:
    return (asked.get("response_format") or {}).get("type") in ("json_object", "json_schema")


def _call_pieces(calls: list[Document]) -> list[Document]:
    """Cut each call as OpenAI does: id and name first, then the arguments in pieces without an id."""
    pieces = []
    for index, call in enumerate(calls):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        first = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        cuts = [arguments[start : start + 8] for start in range(0, len(arguments), 8)]
        rest = [{"index": index, "function": {"arguments": cut}} for cut in cuts]
        pieces += [{"tool_calls": [piece]} for piece in [first, *rest]]
    return pieces


def _vector(text: object, encoding: object) -> list[float] | str:
    """Eight numbers that follow from the text; each is exact in float32, so that both encodings carry the same."""
    seed = zlib.crc32(json.dumps(text).encode())
    numbers = [(seed >> 4 * place & 15) / 16 for place in range(8)]
    return base64.b64encode(struct.pack("<8f", *numbers)).decode() if encoding == "base64" else numbers
