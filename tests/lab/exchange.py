"""One request and the means to answer it, honestly or not: what every fault is written in terms of."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from lab.answers import Document, Events, Received, Voice
from lab.images import picture
from lab.wire import Wire

EVENT_STREAM = "text/event-stream; charset=utf-8"
UNSERVED = "application/json; charset=utf-8"
"""The content type of the answer to a path that nobody serves: a 404."""

CHAT_PATHS = ("/chat/completions", "/openai")
"""Where chat is served; the second is the legacy text host of Pollinations."""


@dataclass(slots=True)
class Exchange:
    """One turn at a connection."""

    asked: Received
    wire: Wire
    voice: Voice
    interval: float
    """Seconds between the tokens of a stream."""
    cookie: str = ""
    """The value of a `Set-Cookie`; none when empty."""

    # Framing

    async def head(
        self, code: int, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), reason: str = ""
    ) -> None:
        """Write a status line and headers, and nothing that was not asked for."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        known = {item.value: item.phrase for item in HTTPStatus}
        lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        if self.cookie:
            lines += f"Set-Cookie: session={self.cookie}\r\n"
        await self.wire.send(f"HTTP/1.1 {code} {reason or known.get(code, '')}\r\n{lines}\r\n".encode("latin-1"))

    async def reply(
        self, code: int, body: bytes, kind: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        """Write a complete, well-framed answer."""
        fields = {"Content-Type": kind, "Content-Length": str(len(body))} | dict(headers or {})
        await self.head(code, fields)
        await self.wire.send(body)

    async def chunk(self, data: bytes) -> None:
        """Write one chunk of the chunked coding."""
        await self.wire.send(b"%x\r\n%b\r\n" % (len(data), data))

    # Streams

    @property
    def events(self) -> Events:
        """The honest stream for this request."""
        return self.voice.events(self.asked)

    async def begin(self, cache: str = "no-cache") -> None:
        """Open a stream: status and headers, chunked."""
        fields = {"Content-Type": EVENT_STREAM, "Cache-Control": cache, "Transfer-Encoding": "chunked"}
        if self.voice.flavour == "pollinations":
            fields["Trailer"] = "x-model-used"
        await self.head(200, fields)
        if self.voice.flavour == "openrouter":
            await self.chunk(b": OPENROUTER PROCESSING\n\n")

    async def event(self, document: Document | str) -> None:
        """Write one event."""
        await self.chunk(frame(document))

    async def tell(self, count: int | None = None) -> None:
        """Open a stream and write its role chunk and that many tokens (None: all of them)."""
        await self.begin()
        events = self.events
        await self.event(events.role)
        for piece in events.output if count is None else events.output[:count]:
            await self.wire.pause(self.interval)
            await self.event(piece)

    async def conclude(self) -> None:
        """Write what belongs after the last token: finish reason, usage, [DONE]."""
        events = self.events
        await self.event(events.finish)
        if events.usage is not None:
            await self.event(events.usage)
        await self.event("[DONE]")

    async def end(self) -> None:
        """Close the chunked coding properly, with the trailers of who sends them."""
        trailers = b"x-model-used: lab\r\n" if self.voice.flavour == "pollinations" else b""
        await self.wire.send(b"0\r\n%b\r\n" % trailers)

    # Whole answers

    async def answer(self) -> None:
        """Answer honestly, whatever was asked."""
        if self.kind == EVENT_STREAM:
            await self.tell()
            await self.conclude()
            await self.end()
        else:
            await self.reply(404 if self.kind == UNSERVED else 200, self.body, self.kind)

    async def open_answer(self) -> None:
        """Write the headers of the honest answer, its body still owing."""
        await self.head(200, {"Content-Type": self.kind, "Content-Length": str(len(self.body))})

    @property
    def body(self) -> bytes:
        """The honest answer's bytes without HTTP's framing, be they a document, a picture or a stream of events."""
        return self._honest()[0]

    @property
    def half(self) -> bytes:
        """The first half of it."""
        return self.body[: len(self.body) // 2]

    @property
    def kind(self) -> str:
        """Its content type."""
        return self._honest()[1]

    def _honest(self) -> tuple[bytes, str]:
        asked, voice = self.asked, self.voice
        if "/prompt/" in asked.path:
            width, height = (int(asked.query.get(side, "64")) for side in ("width", "height"))
            return picture(width, height, unquote(asked.path.partition("/prompt/")[2])), "image/jpeg"
        if asked.path.endswith("/audio/speech"):
            return b"ID3" + asked.question.encode() * 20, "audio/mpeg"
        if asked.path.endswith(CHAT_PATHS) and asked.streaming:
            return b"".join(map(frame, self.events.whole)), EVENT_STREAM
        documents: dict[str, Callable[[Received], Document]] = {
            CHAT_PATHS[0]: voice.chat,
            CHAT_PATHS[1]: voice.chat,
            "/completions": voice.completion,
            "/embeddings": voice.embeddings,
            "/images/generations": voice.images,
            "/responses": voice.response,
            "/moderations": voice.moderation,
            "/audio/transcriptions": voice.transcription,
            "/audio/translations": voice.transcription,
            "/models": voice.models,
        }
        for path, make in documents.items():
            if asked.path.endswith(path):
                return json.dumps(make(asked)).encode(), "application/json"
        refusal = voice.error(404, f"Invalid URL ({asked.method} {asked.path})")
        return json.dumps(refusal).encode(), UNSERVED


def frame(document: Document | str) -> bytes:
    """Write a server-sent event."""
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return f"data: {text}\n\n".encode()
