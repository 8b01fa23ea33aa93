"""The protocol that a dialect fulfils.

Adding a provider that speaks OpenAI needs YAML only; any other needs one of these. A dialect knows nothing of sockets,
time or policy. It turns a `Request` into a `WireRequest`, and what came back into an `Answer`, a `StreamReader` or a
`Failure`. `Retry-After` and rate-limit headers are read by the caller; a dialect fills `Failure.retry_after` only from
what its provider says in the body.
"""

from typing import Protocol

from proxy.config.snapshot import Provider
from proxy.errors import Failure
from proxy.messages import Answer, AnswerFacts, Fed, Head, Request, WireRequest


class StreamReader(Protocol):
    """Reads one streamed answer, in whatever pieces the network cuts it into."""

    @property
    def facts(self) -> AnswerFacts:
        """What the answer has told about itself so far."""

    @property
    def text(self) -> str:
        """The answer's text so far, kept only when the reader was made with `keep_text`; bounded."""

    def feed(self, data: bytes) -> Fed:
        """Take the next bytes. After `ended` or `failure` it is not called again."""

    def close(self) -> Fed:
        """Take note that the upstream ended; `failure` is `broken` unless the answer was complete."""


class Dialect(Protocol):
    """One provider's way of speaking."""

    def encode(self, request: Request, provider: Provider, model: str) -> WireRequest | Failure:
        """Write the call for `model` (the provider's name); a Failure (`unsupported`) when it cannot be expressed."""

    def failure(self, head: Head, body: bytes) -> Failure:
        """Classify an answer with status >= 300 (a redirect is a `server_error`: it is never followed)."""

    def decode(self, request: Request, wire: WireRequest, head: Head, body: bytes) -> Answer | Failure:
        """Judge and translate a complete 2xx body."""

    def reader(
        self, request: Request, wire: WireRequest, head: Head, *, keep_text: bool = False
    ) -> StreamReader | None:
        """Make the reader for a 2xx that streams; None when this answer is not a stream (`decode` judges it then)."""

    def check(self, provider: Provider, capability: str) -> WireRequest | None:
        """Write the question that costs nothing and shows that the endpoint of `capability` is alive; None without one.

        The key is sent where the answer depends on it, and only there: a good answer then proves the key, too.
        """

    def healthy(self, head: Head, body: bytes) -> Failure | None:
        """Judge a complete 2xx answer to `check`; None when it shows the provider alive."""
