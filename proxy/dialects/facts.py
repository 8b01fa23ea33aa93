"""What an answer tells about itself: id, model, tokens, finish reasons."""

from collections.abc import Mapping
from typing import Any

from proxy.dialects.documents import count, mapping
from proxy.messages import AnswerFacts


def note(facts: AnswerFacts, document: Mapping[str, Any]) -> None:
    """Take over what this document (a whole answer, or one chunk of it) tells; what it leaves out stays as it is.

    Usage comes as `prompt_tokens`/`completion_tokens` (chat) or `input_tokens`/`output_tokens` (responses, images), for
    Groq's streams under `x_groq`.
    """
    told = document.get
    if not facts.id and isinstance(identifier := told("id"), str):
        facts.id = identifier or None
    if not facts.model and isinstance(model := told("model"), str):
        facts.model = model or None
    usage = told("usage") or ("x_groq" in document and mapping(told("x_groq")).get("usage"))
    if usage and isinstance(usage, dict):
        _note_usage(facts, usage)


def _note_usage(facts: AnswerFacts, usage: Mapping[str, Any]) -> None:
    told = usage.get
    asked, answered = count(told("prompt_tokens")), count(told("completion_tokens"))
    if asked is not None or (asked := count(told("input_tokens"))) is not None:
        facts.input_tokens = asked
    if answered is not None or (answered := count(told("output_tokens"))) is not None:
        facts.output_tokens = answered
    prompt = told("prompt_tokens_details") or told("input_tokens_details")
    if prompt and (cached := count(mapping(prompt).get("cached_tokens"))) is not None:
        facts.cached_tokens = cached
    completion = told("completion_tokens_details") or told("output_tokens_details")
    if completion and (reasoned := count(mapping(completion).get("reasoning_tokens"))) is not None:
        facts.reasoning_tokens = reasoned
