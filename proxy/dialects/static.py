"""A configured answer in the endpoint's own shape, stream or not."""

from typing import Any

from proxy.dialects.documents import write_json
from proxy.messages import Operation, Request

_OBJECTS = {Operation.CHAT: "chat.completion", Operation.COMPLETIONS: "text_completion"}


def static_answer(request: Request, text: str, *, created: int) -> bytes | None:
    """Write `text` as a chat or text completion (`created` in epoch seconds); None for endpoints without text."""
    kind = _OBJECTS.get(request.operation)
    if kind is None:
        return None
    chat = request.operation is Operation.CHAT
    document: dict[str, Any] = {
        "id": f"static-{request.id}",
        "object": kind,
        "created": created,
        "model": request.model,
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if not request.stream:
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": "stop"}
        return write_json({**document, "choices": [choice], "usage": usage})
    if chat:
        document["object"] = "chat.completion.chunk"
    first = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    events = [
        {**document, "choices": [{"index": 0, **first, "finish_reason": None}]},
        {**document, "choices": [{"index": 0, **last, "finish_reason": "stop"}]},
    ]
    if request.wants_usage:
        events.append({**document, "choices": [], "usage": usage})
    return b"".join(b"data: " + write_json(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
