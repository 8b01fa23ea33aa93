"""Recognise the chunk that most of a stream is made of, without parsing it: a piece of text and nothing else.

A stream of a thousand words is a thousand chunks that differ in one string. Parsing each of them costs more than all
the rest of passing it on, so the common one is matched as a whole; whatever does not match to the last byte is parsed.
"""

import re

_TEXT = rb'[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_NAMES = rb'"(?:id|model|system_fingerprint|service_tier|provider|obfuscation)": ?(?:"(?:' + _TEXT + rb')*"|null)'
_CREATED = rb'"created": ?(?:0|[1-9][0-9]{0,14})'
_OBJECT = rb'"object": ?"(?:chat\.completion\.chunk|text_completion)"'
_CONTENT = rb'"content": ?"(?:' + _TEXT + rb')+"'
_DELTA = rb'"delta": ?\{(?:"role": ?"assistant", ?)?' + _CONTENT + rb'(?:, ?"refusal": ?null)?\}'
_NULLS = rb'"(?:finish_reason|native_finish_reason|logprobs)": ?null'
_CHOICE = rb'\{"index": ?0, ?(?:' + _NULLS + rb", ?)*" + _DELTA + rb"(?:, ?" + _NULLS + rb")*\}"
_CHOICES = rb'"choices": ?\[' + _CHOICE + rb"\]"
_MEMBER = rb"(?:" + _NAMES + rb"|" + _CREATED + rb"|" + _OBJECT + rb")"
_CHUNK = re.compile(rb"\{(?:" + _MEMBER + rb", ?)*" + _CHOICES + rb"(?:, ?" + _MEMBER + rb")*\}")
MOST = 64 * 1024
"""Bytes; longer events are rare enough to be parsed."""


def is_plain(data: bytes) -> bool:
    """Whether this is JSON in UTF-8 for a chunk whose first choice says some text, and that tells nothing else.

    True means: no error, no usage, no finish reason, no tool call, one choice of index 0. False means nothing.
    """
    if len(data) > MOST or _CHUNK.fullmatch(data) is None:
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
