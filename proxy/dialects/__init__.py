"""How providers speak. Sans-I/O: bytes and events in, bytes and events out, testable at every cut position.

sse.py             bytes -> events                      stream.py          events -> what is forwarded, and the end
documents.py       JSON without surprises               chat_stream.py     ... for chunks
classify.py        error bodies -> one class            event_stream.py    ... for typed events
answers.py         plain bodies -> an answer or not     pictures.py        image bytes -> kind, size, completeness
check.py           is it alive? for free at best        plain.py           events that need no parsing
facts.py           what an answer tells of itself       stencil.py         ... and whole runs of them
splice.py          a few values of a JSON text changed  static.py          a configured answer
openai.py  openrouter.py  pollinations.py  pollinations_images.py          one dialect each
"""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.dialects.base import Dialect
from proxy.dialects.openai import OPENAI
from proxy.dialects.openrouter import OPENROUTER
from proxy.dialects.pollinations import POLLINATIONS

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {"openai": OPENAI, "openrouter": OPENROUTER, "pollinations": POLLINATIONS}
)
"""A provider's `dialect:` -> how to speak to it."""
