"""The attributes of every span, put together plainly: what `proxy.telemetry.attributes` must amount to.

That one writes bytes and remembers what it wrote; this one makes a dictionary each time, and can be read at a glance.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from proxy.errors import ErrorClass
from proxy.messages import ENDPOINTS, AnswerFacts, Operation
from proxy.record import Attempt, Record
from proxy.telemetry.facts import bounded, error_type, maybe_billed

Value = str | int | float | bool | tuple[str, ...]
Attributes = dict[str, Value]

MAX_TEXT = 1024
"""Characters of one attribute."""
MAX_MODEL = 100
"""Characters of a model's name, which a client may choose freely."""
INT64 = 1 << 63

OUTPUT_TYPES: Mapping[Operation, str] = {Operation.IMAGES: "image", Operation.SPEECH: "speech"}
FLOATS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty")
DEFAULT_PORTS = {"http": 80, "https": 443}


def clean(attributes: Mapping[str, Value | None]) -> Attributes:
    """Leave out what is unknown, what no wire can hold (integers over 64 bits, NaN), and the end of long texts."""
    cleaned: Attributes = {}
    for name, value in attributes.items():
        if isinstance(value, str):
            cleaned[name] = bounded(value, MAX_TEXT)
        elif isinstance(value, tuple):
            cleaned[name] = tuple(bounded(str(item), MAX_TEXT) for item in value)
        elif (isinstance(value, float) and math.isfinite(value)) or (
            isinstance(value, int) and -INT64 <= value < INT64
        ):
            cleaned[name] = value
    return cleaned


def server(record: Record) -> Attributes:
    """Fill the SERVER span: what the app asked and was told."""
    path = record.request.path
    return clean(
        {
            "http.request.method": "POST",
            "url.path": path if path in ENDPOINTS else None,
            "url.scheme": "http",
            "http.route": path if path in ENDPOINTS else None,
            "http.response.status_code": record.status or None,
            "http.response.body.size": record.response_bytes,
            "network.protocol.name": "http",
            "client.address": record.client_address or None,
            "error.type": server_error(record),
            "sidestep.request_id": record.request.id,
            "sidestep.route": record.route or None,
            "sidestep.outcome": record.outcome,
        }
    )


def server_error(record: Record) -> str | None:
    """`error.type` of the SERVER span: a 4xx is the client's own doing and no error of the server's."""
    return error_type(record) if record.failed else None


def operation(record: Record) -> Attributes:
    """Fill the logical operation's span: the question as it was asked, and the answer that was finally given."""
    request, served = record.request, record.served()
    facts = served.facts if served else AnswerFacts()
    return clean(
        {
            "gen_ai.operation.name": request.operation.value,
            "gen_ai.provider.name": record.provider or "_OTHER",
            "gen_ai.request.model": request.model[:MAX_MODEL] or None,
            "gen_ai.request.stream": request.stream or None,
            "gen_ai.output.type": output_type(request.operation, request.document),
            **parameters(request.document),
            **answer(facts),
            "gen_ai.response.time_to_first_chunk": (
                _between(record.started, record.first_output_at) if request.stream else None
            ),
            "error.type": error_type(record),
            "sidestep.route": record.route or None,
            "sidestep.provider": record.provider or None,
            "sidestep.attempts": len(record.attempts),
            "sidestep.failover": bool(record.failovers),
            "sidestep.degraded": record.degraded or None,
            "sidestep.cache": record.cache or None,
            "sidestep.cache.age": None if record.age is None else round(record.age, 3),
            "sidestep.generation": record.generation or None,
        }
    )


def attempt(record: Record, call: Attempt) -> Attributes:
    """Fill an upstream call's span: an HTTP client's and a model's at once, so that viewers show it as either."""
    url, host, port = scrubbed(call.url)
    return clean(
        {
            "http.request.method": call.method,
            "url.full": url,
            "url.template": call.template or None,
            "server.address": host,
            "server.port": port,
            "http.response.status_code": call.status,
            "http.request.resend_count": call.resend or None,
            "error.type": attempt_error(call),
            "gen_ai.operation.name": record.request.operation.value,
            "gen_ai.provider.name": call.provider,
            "gen_ai.request.model": call.model[:MAX_MODEL] or None,
            "gen_ai.request.stream": record.request.stream or None,
            **answer(call.facts),
            "gen_ai.response.time_to_first_chunk": (
                _between(call.started, call.first_output_at) if record.request.stream else None
            ),
            "sidestep.provider": call.provider,
            "sidestep.attempt": call.number,
            "sidestep.error_class": call.failure.error_class.value if call.failure else None,
            "sidestep.error_code": call.failure.code if call.failure else None,
            "sidestep.maybe_billed": maybe_billed(call) or None,
            "sidestep.waited": call.waited or None,
            "sidestep.hedge": call.hedge or None,
            "sidestep.time_to_headers": _between(call.started, call.headers_at),
            "sidestep.time_to_first_output": _between(call.started, call.first_output_at),
        }
    )


def attempt_error(call: Attempt) -> str | None:
    """`error.type` of a CLIENT span: the status when that was the error, else the class.

    The client's leaving is no error.
    """
    if call.failure is None or call.failure.error_class is ErrorClass.CANCELLED:
        return None
    if call.status is not None and call.status >= 400:
        return str(call.status)
    return call.failure.error_class.value


def answer(facts: AnswerFacts) -> dict[str, Value | None]:
    """Tell what an answer told about itself; unknown is not zero."""
    return {
        "gen_ai.response.id": facts.id,
        "gen_ai.response.model": facts.model,
        "gen_ai.response.finish_reasons": facts.finish_reasons or None,
        "gen_ai.usage.input_tokens": facts.input_tokens,
        "gen_ai.usage.output_tokens": facts.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": facts.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": facts.reasoning_tokens,
    }


def parameters(document: Mapping[str, Any]) -> dict[str, Value | None]:
    """Read the request's settings, each only when it has the type that it should have; never its words.

    `stop` is words, so it is told with the content only.
    """
    told: dict[str, Value | None] = {f"gen_ai.request.{name}": _float(document.get(name)) for name in FLOATS}
    limits = (document.get(name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
    told["gen_ai.request.max_tokens"] = _first(_int(limit) for limit in limits)
    told["gen_ai.request.seed"] = _int(document.get("seed"))
    choices = _int(document.get("n"))
    told["gen_ai.request.choice.count"] = None if choices == 1 else choices
    told["gen_ai.embeddings.dimension.count"] = _int(document.get("dimensions"))
    encoding = document.get("encoding_format")
    told["gen_ai.request.encoding_formats"] = (encoding,) if encoding in ("float", "base64") else None
    return told


def output_type(kind: Operation, document: Mapping[str, Any]) -> str | None:
    """Tell what the client asked to get: by the operation, or by `response_format`."""
    wanted = document.get("response_format")
    if kind is Operation.CHAT and isinstance(wanted, Mapping):
        name = wanted.get("type")
        return "json" if name in ("json_object", "json_schema") else "text" if name == "text" else None
    return OUTPUT_TYPES.get(kind)


def scrubbed(url: str) -> tuple[str, str, int | None]:
    """Split a URL into what may be shown of it, its host and its port: no user, no query, no fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        shown = f"{shown}:{parts.port}"
    return f"{parts.scheme}://{shown}{parts.path}", host, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _between(start: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - start), 6)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: object) -> float | None:
    """Read a JSON number as a float; an integer too large for one is no setting that anybody meant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= INT64:
        return None
    return float(value)


def _first(values: Iterable[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)
