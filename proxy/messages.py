"""What is handed on from station to station: Request, WireRequest, Head, Answer, Fed, Body, Reply."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct, field

from proxy.errors import Failure

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Operation(StrEnum):
    """What a client can ask for; the value is the span's `gen_ai.operation.name`."""

    CHAT = "chat"
    COMPLETIONS = "text_completion"
    EMBEDDINGS = "embeddings"
    IMAGES = "image_generation"
    RESPONSES = "responses"
    MODERATIONS = "moderation"
    SPEECH = "text_to_speech"
    TRANSCRIPTIONS = "transcription"
    TRANSLATIONS = "translation"
    OTHER = "other"
    """None of these: the list of models, or an endpoint that does not exist."""


ENDPOINTS: Mapping[str, Operation] = MappingProxyType(
    {
        "/v1/chat/completions": Operation.CHAT,
        "/v1/completions": Operation.COMPLETIONS,
        "/v1/embeddings": Operation.EMBEDDINGS,
        "/v1/images/generations": Operation.IMAGES,
        "/v1/responses": Operation.RESPONSES,
        "/v1/moderations": Operation.MODERATIONS,
        "/v1/audio/speech": Operation.SPEECH,
        "/v1/audio/transcriptions": Operation.TRANSCRIPTIONS,
        "/v1/audio/translations": Operation.TRANSLATIONS,
    }
)
"""Raw request path -> operation. A path outside this table has no route."""

CAPABILITIES: Mapping[Operation, str] = MappingProxyType(
    {
        Operation.CHAT: "chat",
        Operation.COMPLETIONS: "completions",
        Operation.EMBEDDINGS: "embeddings",
        Operation.IMAGES: "images",
        Operation.RESPONSES: "responses",
        Operation.MODERATIONS: "moderations",
        Operation.SPEECH: "audio",
        Operation.TRANSCRIPTIONS: "audio",
        Operation.TRANSLATIONS: "audio",
    }
)
"""Operation -> the word that a provider's `supports` must hold."""


KEPT: frozenset[Operation] = frozenset(
    {
        Operation.CHAT,
        Operation.COMPLETIONS,
        Operation.EMBEDDINGS,
        Operation.IMAGES,
        Operation.MODERATIONS,
        Operation.SPEECH,
    }
)
"""What a cache may answer. Not responses, which live on at their provider, and not uploads, which never repeat."""


BULK = frozenset({"messages", "prompt", "input", "instructions", "tools", "functions"})
"""Members of a question that may be megabytes; the others are settings."""


def quiet(self: object) -> str:
    """What an app and its providers tell one another, keys included, is in no repr."""
    return f"<{type(self).__name__}>"


class Request(Struct, kw_only=True):
    """One question from the app: begun with its headers, completed with its body, never changed but to be forgotten."""

    id: str
    """`x-request-id`: the client's when it is well-formed, else made here."""
    operation: Operation
    path: str
    """Without its query."""
    body: bytes = b""
    """The client's bytes."""
    document: Mapping[str, Any] = NO_HEADERS
    """The body as JSON; empty for multipart uploads."""
    content_type: str = "application/json"
    model: str = ""
    """As the client wrote it; empty when it named none."""
    stream: bool = False
    tools: bool = False
    """Whether the request offers tools."""
    pinned: bool = False
    """Whether it continues state that lives at one provider (`previous_response_id` and the like): no failover."""
    wants_usage: bool = False
    """Whether the client asked for usage in its stream."""
    preferred: str | None = None
    """`x-sidestep-provider`."""
    timeout: float | None = None
    """`x-sidestep-timeout`, seconds."""
    headers: Mapping[str, str] = NO_HEADERS
    """Lower-case names; only for matching routes."""
    received: float = 0.0
    """Monotonic seconds at which its headers were complete."""
    __repr__ = quiet

    def forget_bulk(self) -> None:
        """Let go of the prompt: its answer is under way, for minutes perhaps, and nobody will be asked it any more."""
        self.body = b""
        self.headers = NO_HEADERS
        self.document = {name: value for name, value in self.document.items() if name not in BULK}


class Expect(StrEnum):
    """The form of a good answer."""

    JSON = "json"
    SSE = "sse"
    IMAGE = "image"
    BYTES = "bytes"


class WireRequest(Struct, kw_only=True, frozen=True, gc=False):
    """One upstream call as it will stand on the wire, the key included."""

    method: str
    url: str
    """Already percent-encoded; sent as it is."""
    headers: Mapping[str, str]
    body: bytes | None
    model: str
    """The provider's name for the model."""
    expect: Expect
    template: str = ""
    """The URL's path without what varies, for span names: `/prompt/{prompt}`."""
    __repr__ = quiet


class Head(Struct, frozen=True, gc=False):
    """Status line and headers of an upstream answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""

    @property
    def media_type(self) -> str:
        """The content type without parameters, lower-case; empty when missing."""
        content_type = self.headers.get("content-type", "")
        return content_type if content_type in _BARE else content_type.partition(";")[0].strip().lower()


_BARE = frozenset({"application/json", "text/event-stream", ""})
"""Content types that most answers have, with nothing to take off."""


class AnswerFacts(Struct, gc=False):
    """What an answer told about itself; filled while it is read. None means unknown, which is not zero."""

    id: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reasons: tuple[str, ...] = ()
    skipped_events: int = 0
    """Events of a stream that were not JSON and were left out."""


class Answer(Struct, kw_only=True, frozen=True, gc=False):
    """A complete plain answer in the client's own dialect."""

    body: bytes
    content_type: str = "application/json"
    facts: AnswerFacts = field(default_factory=AnswerFacts)
    __repr__ = quiet


class Fed(Struct, frozen=True, gc=False):
    """What a stream reader made of one piece of bytes, or of one event in it."""

    forward: bytes = b""
    """Whole events for the client, in order, possibly none."""
    output: bool = False
    """Whether `forward` holds real output (content, reasoning, refusal, tool call)."""
    ended: bool = False
    """Whether the answer is now complete; nothing follows."""
    failure: Failure | None = None
    """What ended the stream instead; whatever stands in `forward` came before it."""
    __repr__ = quiet


Write = Callable[[bytes], bool]
"""Takes a piece for the client; says whether it has no room for more at the moment. Raises ConnectionError."""


class Body(Protocol):
    """The bytes of a reply, owned by whoever holds it.

    Closing settles the request (permit, window, in-flight, usage, spans) exactly once, at the end, on error or on drop.
    """

    async def read(self) -> bytes:
        """Return the next bytes to send, or `b""` at the end. Never raises for what an upstream did."""

    def flow(self, write: Write) -> Awaitable[bool]:
        """After a `read`: write what comes as it comes, until something does that only `read` can tell of.

        Says whether the client has no room for more at the moment. Raises what `write` raises.
        """

    def close(self) -> None:
        """Release everything at once; safe to call twice. Closed before its end, the client dropped it."""

    def interrupt(self) -> None:
        """We are shutting down: let the next `read` tell the client that its answer ends here."""

    @property
    def ended(self) -> bool:
        """Whether what was read last was the last of it."""

    @property
    def aborted(self) -> bool:
        """After the end: whether the connection should be reset instead of ended cleanly (`on_break: abort`)."""


class Reply(Struct, kw_only=True):
    """What goes back to the app: a whole body, or a stream that is owned."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Body | None = None
    __repr__ = quiet
