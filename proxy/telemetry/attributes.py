"""The attributes of every span: OpenTelemetry's HTTP and GenAI names (v1.41), and our own under `sidestep.`.

Names are documented in docs/telemetry.md. Whatever a client or a provider wrote is checked before it becomes an
attribute: a number that protobuf cannot hold would cost the whole batch of spans that it is sent with.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from proxy.errors import ErrorClass, Failure
from proxy.messages import ENDPOINTS, AnswerFacts, Operation
from proxy.record import Attempt, Record
from proxy.telemetry import otlp
from proxy.telemetry.facts import MAX_MODEL, error_type, maybe_billed
from proxy.telemetry.otlp import HIGHEST, Value

Attributes = dict[str, Value | None]
"""None for what is unknown; it is not written."""

OUTPUT_TYPES: Mapping[Operation, str] = {Operation.IMAGES: "image", Operation.SPEECH: "speech"}
FLOATS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty")
LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
SETTINGS = frozenset((*FLOATS, *LIMITS, "seed", "n", "dimensions", "encoding_format"))
"""Keys of a request's document that `parameters` reads."""
REMEMBERED = 512
"""Sets of words that are kept as bytes for each kind of span, 1 KiB each: most requests differ in figures alone."""
DEFAULT_PORTS = {"http": 80, "https": 443}


def server(record: Record) -> bytes:
    """Describe the SERVER span: what the app asked and was told."""
    words = _server(
        record.request.path if record.request.path in ENDPOINTS else None,
        record.parent_span_id is None,
        record.status,
        record.client_address,
        server_error(record),
        record.route,
        record.outcome,
    )
    size = otlp.attribute("http.response.body.size", record.response_bytes)
    return words + size + otlp.attribute("sidestep.request_id", record.request.id)


@lru_cache(maxsize=REMEMBERED)
def _server(
    path: str | None,
    root: bool,  # noqa: FBT001
    status: int,
    client: str,
    error: str | None,
    route: str,
    ending: str,
) -> bytes:
    name = f"POST {path}" if path else "POST"
    return otlp.label(name, otlp.SERVER, otlp.LOCAL_PARENT if root else otlp.REMOTE_PARENT) + otlp.attributes(
        {
            "http.request.method": "POST",
            "url.path": path,
            "url.scheme": "http",
            "http.route": path,
            "http.response.status_code": status or None,
            "network.protocol.name": "http",
            "client.address": client or None,
            "error.type": error,
            "sidestep.route": route or None,
            "sidestep.outcome": ending,
        }
    )


def server_error(record: Record) -> str | None:
    """`error.type` of the SERVER span: a 4xx is the client's own doing and no error of the server's."""
    return error_type(record) if record.failed else None


def operation(record: Record) -> bytes:
    """Describe the logical operation's span: the question as it was asked, and who answered it."""
    request = record.request
    words = _operation(
        request.operation,
        request.model,
        request.stream,
        output_type(request.operation, request.document),
        error_type(record),
        record.route,
        record.provider,
        len(record.attempts),
        bool(record.failovers),
        record.degraded,
        record.cache,
        record.generation,
    )
    if request.stream and record.first_output_at is not None:
        words += otlp.attribute(FIRST_CHUNK, _between(record.started, record.first_output_at))
    if record.age is not None:
        words += otlp.attribute("sidestep.cache.age", round(record.age, 3))
    return words if SETTINGS.isdisjoint(request.document) else words + otlp.attributes(parameters(request.document))


@lru_cache(maxsize=REMEMBERED)
def _operation(  # noqa: PLR0913, PLR0917  the span's words
    kind: Operation,
    model: str,
    stream: bool,  # noqa: FBT001
    output: str | None,
    error: str | None,
    route: str,
    provider: str,
    attempts: int,
    failover: bool,  # noqa: FBT001
    degraded: str,
    cache: str,
    generation: str,
) -> bytes:
    shown = model[:MAX_MODEL]
    return otlp.label(f"{kind.value} {shown}".rstrip(), otlp.INTERNAL) + otlp.attributes(
        {
            "gen_ai.operation.name": kind.value,
            "gen_ai.provider.name": provider or "_OTHER",
            "gen_ai.request.model": shown or None,
            "gen_ai.request.stream": stream or None,
            "gen_ai.output.type": output,
            "error.type": error,
            "sidestep.route": route or None,
            "sidestep.provider": provider or None,
            "sidestep.attempts": attempts,
            "sidestep.failover": failover,
            "sidestep.degraded": degraded or None,
            "sidestep.cache": cache or None,
            "sidestep.generation": generation or None,
        }
    )


@lru_cache(maxsize=64)
def step(name: str) -> bytes:
    """Describe a stage's span; what else there is to tell, the stage tells itself."""
    return otlp.label(name, otlp.INTERNAL)


def attempt(record: Record, call: Attempt) -> bytes:
    """Describe an upstream call's span: an HTTP client's and a model's at once, so that viewers show it as either."""
    request = record.request
    words = _attempt(
        call.method,
        call.url,
        call.template,
        call.status,
        request.operation,
        call.provider,
        call.model,
        request.stream,
        call.number,
        call.resend,
        call.hedge,
    )
    if call.headers_at is not None:
        words += otlp.attribute("sidestep.time_to_headers", _between(call.started, call.headers_at))
    if call.first_output_at is not None:
        first_output = _between(call.started, call.first_output_at)
        words += otlp.attribute("sidestep.time_to_first_output", first_output)
        if request.stream:
            words += otlp.attribute(FIRST_CHUNK, first_output)
    if call.waited:
        words += otlp.attribute("sidestep.waited", call.waited)
    return words if call.failure is None else words + otlp.attributes(failure(call, call.failure))


@lru_cache(maxsize=REMEMBERED)
def _attempt(  # noqa: PLR0913, PLR0917  the span's words
    method: str,
    url: str,
    template: str,
    status: int | None,
    kind: Operation,
    provider: str,
    model: str,
    stream: bool,  # noqa: FBT001
    number: int,
    resend: int,
    hedge: str,
) -> bytes:
    shown, host, port = scrubbed(url)
    return otlp.label(f"{method} {template}".rstrip(), otlp.CLIENT) + otlp.attributes(
        {
            "http.request.method": method,
            "url.full": shown,
            "url.template": template or None,
            "server.address": host,
            "server.port": port,
            "http.response.status_code": status,
            "http.request.resend_count": resend or None,
            "gen_ai.operation.name": kind.value,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model[:MAX_MODEL] or None,
            "gen_ai.request.stream": stream or None,
            "sidestep.provider": provider,
            "sidestep.attempt": number,
            "sidestep.hedge": hedge or None,
        }
    )


def failure(call: Attempt, failed: Failure) -> Attributes:
    """Tell how a call failed."""
    return {
        "error.type": attempt_error(call),
        "sidestep.error_class": failed.error_class.value,
        "sidestep.error_code": failed.code,
        "sidestep.maybe_billed": maybe_billed(call) or None,
    }


def attempt_error(call: Attempt) -> str | None:
    """`error.type` of a CLIENT span: the status when that was the error, else the class.

    The client's leaving is no error.
    """
    if call.failure is None or call.failure.error_class is ErrorClass.CANCELLED:
        return None
    if call.status is not None and call.status >= 400:
        return str(call.status)
    return call.failure.error_class.value


def answer(facts: AnswerFacts) -> bytes:
    """Tell what an answer told about itself, to its attempt's span and to the operation's; unknown is not zero."""
    told = otlp.attributes(
        {
            "gen_ai.response.model": facts.model,
            "gen_ai.response.finish_reasons": facts.finish_reasons or None,
            "gen_ai.usage.input_tokens": facts.input_tokens,
            "gen_ai.usage.output_tokens": facts.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": facts.cached_tokens,
            "gen_ai.usage.reasoning.output_tokens": facts.reasoning_tokens,
        }
    )
    return told if facts.id is None else otlp.attribute("gen_ai.response.id", facts.id) + told


def parameters(document: Mapping[str, Any]) -> Attributes:
    """Read the request's settings, each only when it has the type that it should have; never its words.

    `stop` is words, so it is told with the content only.
    """
    told: Attributes = {f"gen_ai.request.{name}": _float(document[name]) for name in FLOATS if name in document}
    told["gen_ai.request.max_tokens"] = _first(_int(document[name]) for name in LIMITS if name in document)
    told["gen_ai.request.seed"] = _int(document.get("seed"))
    choices = _int(document.get("n"))
    told["gen_ai.request.choice.count"] = None if choices == 1 else choices
    told["gen_ai.embeddings.dimension.count"] = _int(document.get("dimensions"))
    encoding = document.get("encoding_format")
    told["gen_ai.request.encoding_formats"] = (encoding,) if encoding in ("float", "base64") else None
    return told


def output_type(kind: Operation, document: Mapping[str, Any]) -> str | None:
    """Tell what the client asked to get: by the operation, or by `response_format`."""
    if kind is not Operation.CHAT:
        return OUTPUT_TYPES.get(kind)
    wanted = document.get("response_format")
    name = wanted.get("type") if isinstance(wanted, dict) else None
    return "json" if name in ("json_object", "json_schema") else "text" if name == "text" else None


def scrubbed(url: str) -> tuple[str, str, int | None]:
    """Split a URL into what may be shown of it, its host and its port: no user, no query, no fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        shown = f"{shown}:{parts.port}"
    return f"{parts.scheme}://{shown}{parts.path}", host, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _between(start: float, end: float) -> float:
    return round(max(0.0, end - start), 6)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: object) -> float | None:
    """Read a JSON number as a float; an integer too large for one is no setting that anybody meant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > HIGHEST:
        return None
    return float(value)


def _first(values: Iterable[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)
