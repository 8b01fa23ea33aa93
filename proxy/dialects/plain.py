"""Recognise the event that most of a stream is made of, without parsing it: a piece of output and nothing else.

A stream of a thousand words is a thousand events that differ in one string. Parsing each of them costs more than all
the rest of passing it on, so the common ones are matched as a whole; what does not match to the last byte is parsed.
"""

import re
from typing import NamedTuple

_PIECE = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
TEXT = _PIECE + rb"++"
"""What may stand in a JSON string that is not empty."""
PADDING = _PIECE + rb"*+"
"""What may stand in any."""
NUMBER = rb"(?:0|[1-9][0-9]{0,14}+)"
MOST = 64 * 1024
"""Bytes; longer events are rare enough to be parsed."""


def _named(*besides: str) -> bytes:
    """The name of a member that tells nothing: any but `besides`, and the colon behind it."""
    return rb'"(?!(?:' + "|".join(besides).encode() + rb')")[a-z_]++": ?'


def _object(said: bytes, *, around: bytes) -> bytes:
    """An object that holds `said` once, with any number of members before and after that tell nothing."""
    return rb"\{(?:" + around + rb", ?)*+" + said + rb"(?:, ?" + around + rb")*+\}"


# Nothing is captured within a possessive repeat: Python 3.11 loses count of its groups there.
_SAID = rb'": ?"(' + TEXT + rb')"'
_SCALAR = rb'(?:"' + PADDING + rb'"|true|false|' + NUMBER + rb"(?:\.[0-9]{1,9}+)?)"
_PADDED = rb'(?:, ?"(?:obfuscation|p)": ?"(' + PADDING + rb')")?'  # OpenAI's, Mistral's

# A null is no output, whatever its name; but the last of two members of one name counts, so what is said has only one.
# And a usage stands where it belongs, or it would be taken out in the wrong place.
_THOUGHTS = ("reasoning", "reasoning_content", "tool_calls")
_ROLE = rb'"role": ?"assistant"'
_CALL = rb'\{"index": ?[0-9]{1,3}, ?(?:"type": ?"function", ?)?"function": ?\{"arguments' + _SAID + rb"\}\}"
_SPEECH = _object(rb'"content' + _SAID, around=rb"(?:" + _ROLE + rb"|" + _named("content", "usage") + rb"null)")
_DETAIL = _object(rb'"text' + _SAID, around=_named("text") + rb"(?:" + _SCALAR + rb"|null)")
_DETAILS = rb'(?:, ?"reasoning_details": ?\[' + _DETAIL + rb"\])?"  # OpenRouter's, the same once more
_THOUGHT = _object(
    rb'(?:"reasoning(?:_content)?' + _SAID + _DETAILS + rb'|"tool_calls": ?\[' + _CALL + rb"\])",
    around=rb'(?:"content": ?""|' + _ROLE + rb"|" + _named(*_THOUGHTS, "usage") + rb"null)",
)
_CHOICE = _object(
    rb'(?:"delta": ?(?:' + _SPEECH + rb"|" + _THOUGHT + rb')|"text' + _SAID + rb")",
    around=rb'(?:"index": ?0|' + _named("delta", "text", "usage") + rb"null)",
)
_TELLING = ("error", "type", "object", "usage", "x_groq")
_MEMBER = (
    rb'(?:"object": ?"(?:chat\.completion\.chunk|text_completion)"|'
    rb"" + _named(*_TELLING, "choices", "obfuscation", "p") + _SCALAR + rb"|" + _named("choices") + rb"null)"
)
_CHUNK = re.compile(
    rb"\{(?:" + _MEMBER + rb', ?)*+"choices": ?\[' + _CHOICE + rb"\](?:, ?" + _MEMBER + rb")*+" + _PADDED + rb"\}"
)
_CHUNK_FORMS = (TEXT, TEXT, TEXT, TEXT, TEXT, PADDING)

_NUMBERED = rb'(?:, ?"sequence_number": ?(' + NUMBER + rb"))?"
_PART = (
    rb"(?:, ?" + _named(*_TELLING, "id", "model", "response", "delta", "sequence_number", "obfuscation", "p")
    + rb"(?:" + _SCALAR + rb"|null|\[\]))*+"
)  # fmt: skip
_DELTA = re.compile(
    rb'\{"type": ?"[a-z_.]+\.delta"' + _NUMBERED + _PART + rb', ?"delta' + _SAID + _PART + _NUMBERED + _PADDED + rb"\}"
)
_DELTA_FORMS = (NUMBER, TEXT, NUMBER, PADDING)


class Hole(NamedTuple):
    """Where something stands that differs from event to event."""

    start: int
    end: int
    form: bytes
    """What may stand there: `TEXT`, `PADDING` or `NUMBER`."""


Likeness = re.Match[bytes]
"""The data of a plain event, and where its holes are."""


class Plain(NamedTuple):
    """A plain event, and what the client is to see of it."""

    forward: bytes
    begin: bytes
    """What stands before its data."""
    came: Likeness
    shown: Likeness | None = None
    """The data that the client sees, if it is other than what came; it has the same holes."""


def plain_chunk(data: bytes) -> Likeness | None:
    """Match a chunk in which something is said, and that tells nothing else.

    It is JSON in UTF-8, is no error, has no usage (null at most), no finish reason, and one choice, of index 0. None
    means nothing.
    """
    return _match(_CHUNK, data)


def plain_delta(data: bytes) -> Likeness | None:
    """Match a typed event like that: a delta that is not empty, without an error, usage, id, model or response."""
    return _match(_DELTA, data)


def holes(found: Likeness) -> list[Hole]:
    """What is said in a plain event, and what else differs: padding, a number. At least one, in their order."""
    forms = _CHUNK_FORMS if found.re is _CHUNK else _DELTA_FORMS
    return [Hole(*span, form) for span, form in zip(found.regs[1:], forms, strict=True) if span[0] >= 0]


def _match(pattern: re.Pattern[bytes], data: bytes) -> Likeness | None:
    found = pattern.fullmatch(data) if len(data) <= MOST else None
    return found if found is not None and is_utf8(data) else None


def is_utf8(data: bytes) -> bool:
    """Whether this can be decoded."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
