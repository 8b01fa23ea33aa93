"""Requests, providers and streams that the dialect tests share."""

import json
from collections.abc import Iterator
from typing import Any

from proxy.config.secrets import Secret
from proxy.config.snapshot import Provider
from proxy.dialects.base import Dialect, StreamReader
from proxy.messages import Fed, Head, Operation, Request, WireRequest

SSE = Head(200, {"content-type": "text/event-stream; charset=utf-8"})
JSON = Head(200, {"content-type": "application/json"})
KEY = "sk-canary-0123456789"


def a_provider(**changes: Any) -> Provider:
    settings: dict[str, Any] = {
        "name": "p",
        "dialect": "openai",
        "base_url": "https://host.test/v1",
        "text_url": "https://text.test/openai",
        "image_url": "https://image.test/prompt/",
        "api_key": Secret(KEY),
    }
    return Provider(**{**settings, **changes})


def a_request(operation: Operation = Operation.CHAT, document: dict[str, Any] | None = None, **changes: Any) -> Request:
    document = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} if document is None else document
    settings: dict[str, Any] = {
        "id": "req-1",
        "operation": operation,
        "path": "/v1/x",
        "body": json.dumps(document).encode(),
        "document": document,
        "model": str(document.get("model", "")),
        "stream": bool(document.get("stream")),
    }
    return Request(**{**settings, **changes})


def a_stream_request(operation: Operation = Operation.CHAT, *, wants_usage: bool = True, **fields: Any) -> Request:
    document = {"model": "m", "stream": True, **fields}
    return a_request(operation, document, wants_usage=wants_usage)


def a_wire(dialect: Dialect, request: Request) -> WireRequest:
    wire = dialect.encode(request, a_provider(), "m")
    assert isinstance(wire, WireRequest)
    return wire


def a_reader(dialect: Dialect, request: Request, head: Head = SSE, *, keep_text: bool = False) -> StreamReader:
    reader = dialect.reader(request, a_wire(dialect, request), head, keep_text=keep_text)
    assert reader is not None
    return reader


def run(reader: StreamReader, pieces: list[bytes]) -> Fed:
    """Feed all pieces and the end; return what came of it in sum."""
    forward, output = b"", False
    for piece in pieces:
        fed = reader.feed(piece)
        forward, output = forward + fed.forward, output or fed.output
        if fed.ended or fed.failure:
            return Fed(forward=forward, output=output, ended=fed.ended, failure=fed.failure)
    fed = reader.close()
    return Fed(forward=forward + fed.forward, output=output or fed.output, ended=fed.ended, failure=fed.failure)


def cuttings(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the stream whole, in single bytes, and cut in two at every position."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    for cut in range(1, len(stream)):
        yield [stream[:cut], stream[cut:]]


def data(*documents: Any) -> bytes:
    """Write events: a dict as JSON, a string as it is."""
    lines = [document if isinstance(document, str) else json.dumps(document) for document in documents]
    return b"".join(b"data: " + line.encode() + b"\n\n" for line in lines)


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-dated",
        "choices": [choice],
        **more,
    }


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = chunk({"content": "Hé"})
STOP = chunk(finish="stop")
USAGE = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
DONE = "[DONE]"
