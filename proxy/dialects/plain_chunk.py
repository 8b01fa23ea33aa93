"""Recognise the chunk that most of a stream is made of, without parsing it: a piece of output and nothing else.

A stream of a thousand words is a thousand chunks that differ in one string. Parsing each of them costs more than all
the rest of passing it on, so the common ones are matched as a whole; what does not match to the last byte is parsed.
"""

import re

TEXT = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))'
"""Some of what may stand in a JSON string."""
MOST = 64 * 1024
"""Bytes; longer events are rare enough to be parsed."""


def _named(*besides: str) -> bytes:
    """The name of a member that tells nothing: any but `besides`, and the colon behind it."""
    return rb'"(?!(?:' + "|".join(besides).encode() + rb')")[a-z_]++": ?'


def _object(said: bytes, *, around: bytes) -> bytes:
    """An object that holds `said` once, with any number of members before and after that tell nothing."""
    return rb"\{(?:" + around + rb", ?)*+" + said + rb"(?:, ?" + around + rb")*+\}"


_SAID = rb'": ?"(' + TEXT + rb'++)"'
_ROLE = rb'"role": ?"assistant"'
_CALL = rb'\{"index": ?[0-9]{1,3}, ?(?:"type": ?"function", ?)?"function": ?\{"arguments' + _SAID + rb"\}\}"
# A null is no output, whatever its name; but the last of two members of one name counts, so what was said has one only.
_SPEECH = _object(rb'"content' + _SAID, around=rb"(?:" + _ROLE + rb"|" + _named("content") + rb"null)")
_THOUGHT = _object(
    rb'(?:"reasoning(?:_content)?' + _SAID + rb'|"tool_calls": ?\[' + _CALL + rb"\])",
    around=rb'(?:"content": ?""|' + _ROLE + rb"|" + _named("reasoning", "reasoning_content", "tool_calls") + rb"null)",
)
_CHOICE = _object(
    rb'(?:"delta": ?(?:' + _SPEECH + rb"|" + _THOUGHT + rb')|"text' + _SAID + rb")",
    around=rb'(?:"index": ?0|' + _named("delta", "text") + rb"null)",
)
_STRING = rb'"' + TEXT + rb'*+"'
_SCALAR = rb"(?:" + _STRING + rb"|true|false|(?:0|[1-9][0-9]{0,14}+)(?:\.[0-9]{1,9}+)?)"
_KNOWN = ("error", "type", "object", "usage", "x_groq", "choices")
_MEMBER = (
    rb'(?:"object": ?"(?:chat\.completion\.chunk|text_completion)"|'
    rb"" + _named(*_KNOWN, "obfuscation", "p") + _SCALAR + rb"|" + _named("choices") + rb"null)"
)
_PADDING = rb'(?:, ?"(?:obfuscation|p)": ?"(' + TEXT + rb'*+)")?+'  # OpenAI's, Mistral's
_CHUNK = re.compile(
    rb"\{(?:" + _MEMBER + rb', ?)*+"choices": ?\[' + _CHOICE + rb"\](?:, ?" + _MEMBER + rb")*+" + _PADDING + rb"\}"
)


Holes = tuple[tuple[int, int], ...]
"""Where strings begin and end."""


def holes(data: bytes) -> Holes:
    """Where the strings stand that differ from chunk to chunk: what is said, and the padding if there is any.

    Some means: this is JSON in UTF-8 for a chunk whose first choice says something, and that tells nothing else. It is
    no error, has no usage (null at most), no finish reason, and one choice, of index 0. None found means nothing.
    """
    found = _CHUNK.fullmatch(data) if len(data) <= MOST else None
    if found is None or not is_utf8(data):
        return ()
    return tuple([span for span in found.regs[1:] if span[0] >= 0])


def is_utf8(data: bytes) -> bool:
    """Whether this can be decoded."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
