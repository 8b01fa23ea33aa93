"""What an answer tells about itself: id, model, tokens, finish reasons."""

from collections.abc import Mapping
from typing import Any

from proxy.dialects.documents import count, mapping, text
from proxy.messages import AnswerFacts


def note(facts: AnswerFacts, document: Mapping[str, Any]) -> None:
    """Take over what this document (a whole answer, or one chunk of it) tells; what it leaves out stays as it is.

    Usage comes as `prompt_tokens`/`completion_tokens` (chat) or `input_tokens`/`output_tokens` (responses, images), for
    Groq's streams under `x_groq`.
    """
    if not facts.id:
        facts.id = text(document.get("id")) or None
    if not facts.model:
        facts.model = text(document.get("model")) or None
    usage = document.get("usage") or mapping(document.get("x_groq")).get("usage")
    if usage and isinstance(usage, dict):
        _note_usage(facts, usage)


def _note_usage(facts: AnswerFacts, usage: Mapping[str, Any]) -> None:
    facts.input_tokens = _first(usage, ("prompt_tokens", "input_tokens"), facts.input_tokens)
    facts.output_tokens = _first(usage, ("completion_tokens", "output_tokens"), facts.output_tokens)
    if prompt := mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details")):
        facts.cached_tokens = _first(prompt, ("cached_tokens",), facts.cached_tokens)
    if completion := mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details")):
        facts.reasoning_tokens = _first(completion, ("reasoning_tokens",), facts.reasoning_tokens)


def _first(source: Mapping[str, Any], names: tuple[str, ...], known: int | None) -> int | None:
    for name in names:
        number = count(source.get(name))
        if number is not None:
            return number
    return known
