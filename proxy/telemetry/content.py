"""Prompts and answers as span attributes: made only when `telemetry.content` says so.

The shape is that of OpenTelemetry's GenAI messages (a role and typed parts), written as JSON, because a span's
attributes are flat. Images and sounds are named, never copied.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.messages import Operation, Request
from proxy.record import Record
from proxy.telemetry.facts import bounded

MAX_MESSAGES = 100
"""Messages told of one prompt, counted from its end: the newest say the most."""
MAX_PART = 16 * 1024
"""Characters told of one part."""

PROMPTS: Mapping[Operation, str] = {
    Operation.COMPLETIONS: "prompt",
    Operation.IMAGES: "prompt",
    Operation.SPEECH: "input",
    Operation.EMBEDDINGS: "input",
    Operation.RESPONSES: "input",
    Operation.MODERATIONS: "input",
}
"""Where each operation but chat keeps its words."""


def content(record: Record) -> dict[str, str | tuple[str, ...]]:
    """Make the attributes that hold the words themselves; empty parts are left out."""
    told: dict[str, str | tuple[str, ...]] = {}
    asked = input_messages(record.request)
    if asked:
        told["gen_ai.input.messages"] = _json(asked)
    if record.captured_output:
        message = {"role": "assistant", "parts": [_text(record.captured_output)]}
        told["gen_ai.output.messages"] = _json([message])
    stop = record.request.document.get("stop")
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    if stops:
        told["gen_ai.request.stop_sequences"] = tuple(bounded(str(word), 200) for word in stops[:16])
    return told


def input_messages(request: Request) -> list[dict[str, Any]]:
    """Read what was asked, as a list of messages; a malformed document yields what can be read of it."""
    if request.operation is not Operation.CHAT:
        words = request.document.get(PROMPTS.get(request.operation, ""))
        return [{"role": "user", "parts": _parts(words)}] if words else []
    messages = request.document.get("messages")
    if not isinstance(messages, list):
        return []
    return [_message(message) for message in messages[-MAX_MESSAGES:] if isinstance(message, Mapping)]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = str(message.get("role", ""))[:32]
    if role == "tool":
        result = message.get("content")
        shown = result[:MAX_PART] if isinstance(result, str) else _parts(result)
        answered = str(message.get("tool_call_id", ""))[:100]
        return {"role": role, "parts": [{"type": "tool_call_response", "id": answered, "result": shown}]}
    calls = message.get("tool_calls")
    return {"role": role, "parts": _parts(message.get("content")) + _calls(calls if isinstance(calls, list) else [])}


def _calls(calls: Sequence[Any]) -> list[dict[str, Any]]:
    parts = []
    for call in calls[:MAX_MESSAGES]:
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            named = {"id": str(call.get("id", ""))[:100], "name": str(function.get("name", ""))[:100]}
            arguments = str(function.get("arguments", ""))[:MAX_PART]
            parts.append({"type": "tool_call", **named, "arguments": arguments})
    return parts


def _parts(words: object) -> list[dict[str, Any]]:
    if isinstance(words, str):
        return [_text(words)]
    if not isinstance(words, list):
        return []
    return [part for word in words[:MAX_MESSAGES] if (part := _part(word)) is not None]


def _part(word: object) -> dict[str, Any] | None:
    if isinstance(word, str):
        return _text(word)
    if not isinstance(word, Mapping):
        return None
    if isinstance(word.get("text"), str):
        return _text(word["text"])
    return {"type": str(word.get("type", "unknown"))[:32]}


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "content": words[:MAX_PART]}


def _json(messages: list[dict[str, Any]]) -> str:
    """Plain ASCII JSON, which holds lone surrogates as escapes and so is always valid UTF-8."""
    return json.dumps(messages, separators=(",", ":"))
