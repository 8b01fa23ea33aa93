"""The taxonomy of failure, and what a client is told.

Two things, never mixed:

* `Failure`, a value: how one upstream attempt ended when it did not end well. It is classified once, at the edge
  (a dialect for what a provider said, the transport for what the network did), and then only looked up.
* `SidestepError`, an exception: how a whole request ends when no answer is to be had.

    SidestepError                        status  code
    ├── ClientError                      400     invalid_json, invalid_request; 401, 404, 405, 413, 414, 415, 431
    ├── ProviderVerdict                  4xx     the provider's own words on this request, passed on
    ├── RateLimited                      429     rate_limited
    ├── AllProvidersFailed               502     all_providers_failed
    ├── NoProviderAvailable              503     no_provider_available
    └── DeadlineExceeded                 504     deadline_exceeded
    ConfigError                          what is wrong with routes.yaml or a policy, line by line
"""

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct, field


class ErrorClass(StrEnum):
    """Every failed attempt ends in exactly one of these; what follows from each stands in `resilience.outcome`."""

    CONNECT = "connect"
    """Refused, DNS, TLS, connect timeout: no byte of the request was sent."""
    TIMEOUT = "timeout"
    """No first output in time, or a stream that went idle."""
    BROKEN = "broken"
    """Reset, truncated body or stream, bad JSON, bad framing."""
    SERVER_ERROR = "server_error"
    """500, other 5xx, 408, 409, 425."""
    OVERLOADED = "overloaded"
    """502, 503, 504, 520-530, 529, or a provider's overload body."""
    RATE_LIMITED = "rate_limited"
    """429, or what a provider says instead of it."""
    QUOTA = "quota"
    """402, `insufficient_quota`."""
    AUTH = "auth"
    """401, or 403 of the key."""
    UNSUPPORTED = "unsupported"
    """Unknown model, missing capability."""
    CONTEXT_LENGTH = "context_length"
    """The prompt does not fit this model's window."""
    CONTENT_POLICY = "content_policy"
    """Moderation refused."""
    INVALID_REQUEST = "invalid_request"
    """Any other 4xx."""
    SOFT_FAILURE = "soft_failure"
    """200 with an error inside, an empty answer, a wrong content type, a placeholder image."""
    CANCELLED = "cancelled"
    """The client left."""
    SHED = "shed"
    """Our own limit: rate, concurrency, retry budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How one attempt failed. Never holds a secret; `message` never holds a prompt."""

    error_class: ErrorClass
    message: str
    """One sentence for people, at most 500 characters."""
    status: int | None = None
    """The provider's HTTP status, when there was one."""
    code: str | None = None
    """The provider's own error code or type, when it sent one; at most 100 characters."""
    retry_after: float | None = None
    """Seconds from now after which the provider wants to be asked again."""
    sent: bool = True
    """Whether the provider may have received the whole request (and so may bill it)."""
    body: bytes | None = None
    """The provider's error body, kept only for verdicts that are passed on to the client."""


class AttemptSummary(Struct, frozen=True, omit_defaults=True, gc=False):
    """One rung of the ladder, as error bodies, logs and the dashboard show it."""

    provider: str
    error_class: str = field(name="class")
    """What it ended in, or `ok`."""
    milliseconds: float = field(name="ms")
    status: int | None = None

    def document(self) -> dict[str, str | int | float | None]:
        """The same as JSON has it, where what is unknown is told as null."""
        return {"provider": self.provider, "class": self.error_class, "status": self.status, "ms": self.milliseconds}


class SidestepError(Exception):
    """The honest error that ends a request. `status`, `type` and `code` are what an OpenAI client reads."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.code = code or self.code
        self.param = param
        self.retry_after = retry_after
        """Seconds until it is worth asking again, when known."""
        self.should_retry = should_retry
        """The `x-should-retry` header: False where a client's retry could only repeat what was tried already."""


class ClientError(SidestepError):
    """The request itself is at fault; no provider was contacted."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class ProviderVerdict(SidestepError):  # noqa: N818
    """A provider judged the request (invalid, too long, refused by policy); its body is passed on verbatim."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"

    def __init__(self, failure: Failure) -> None:
        status = failure.status if (failure.status or 0) >= 400 else None  # an error under 200 stays an error
        super().__init__(failure.message, status=status, code=failure.code, should_retry=False)
        self.body = failure.body


class RateLimited(SidestepError):  # noqa: N818  the name of the condition, as in the documented error code
    """Every candidate is rate limited; `retry_after` is the soonest recovery."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"


class AllProvidersFailed(SidestepError):  # noqa: N818
    """At least one provider was asked and none gave an answer."""

    status = 502
    code = "all_providers_failed"


class NoProviderAvailable(SidestepError):  # noqa: N818
    """No provider could be asked: disabled, open, cooling down, or we are overloaded."""

    status = 503
    code = "no_provider_available"


class DeadlineExceeded(SidestepError):  # noqa: N818
    """The total deadline passed first."""

    status = 504
    code = "deadline_exceeded"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with the configuration. `line` and `column` count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(Exception):
    """The configuration was refused. `problems` is never empty; `unreadable` when a file could not be read at all."""

    def __init__(self, problems: tuple[Problem, ...], *, unreadable: bool = False) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.unreadable = unreadable
