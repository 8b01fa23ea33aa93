"""Faults of what is said: statuses, and 200s that are no answer. The bytes are framed correctly."""

import json
from dataclasses import replace
from typing import Any

from lab.exchange import Exchange
from lab.fault import Fault, fault

HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>cloudflare</body></html>"
NO_STORE = "private, no-store"


# Honest, at another pace


@fault
async def ok(exchange: Exchange, _: Fault) -> None:
    """Answer honestly."""
    await exchange.answer()


@fault
async def latency(exchange: Exchange, how: Fault) -> None:
    """`latency:SECONDS` (1): wait, then answer."""
    await exchange.wire.pause(how.number(1))
    await exchange.answer()


@fault
async def tokens(exchange: Exchange, how: Fault) -> None:
    """`tokens:N` (1000): answer with that many tokens."""
    await replace(exchange, voice=replace(exchange.voice, tokens=how.count(1000))).answer()


@fault
async def pace(exchange: Exchange, how: Fault) -> None:
    """`pace:SECONDS` (0.05): stream with that pause before every token."""
    await replace(exchange, interval=how.number(0.05)).answer()


# Statuses


@fault
async def status(exchange: Exchange, how: Fault) -> None:
    """`status:N` (500): that status, with the flavour's error body, or with the fault's own `body` and `headers`."""
    code = how.count(500)
    told = exchange.voice.error(code, f"simulated {code}") if how.body is None else how.body
    body = told if isinstance(told, bytes) else (told if isinstance(told, str) else json.dumps(told)).encode()
    kind = "text/plain" if isinstance(told, str | bytes) else "application/json"
    await exchange.reply(code, body, kind, how.headers)


@fault
async def status_html(exchange: Exchange, how: Fault) -> None:
    """`status_html:N` (502): that status with an edge's HTML page."""
    await exchange.reply(how.count(502), HTML, "text/html")


@fault
async def status_empty(exchange: Exchange, how: Fault) -> None:
    """`status_empty:N` (500): that status without a body."""
    await exchange.reply(how.count(500), b"")


@fault
async def status_text(exchange: Exchange, how: Fault) -> None:
    """`status_text:N` (530): that status with a word of text."""
    await exchange.reply(how.count(530), b"error code: 1033", "text/plain")


@fault
async def redirect(exchange: Exchange, how: Fault) -> None:
    """`redirect:URL` (to itself): 307."""
    await exchange.reply(307, b"", headers={"Location": how.arg or exchange.asked.target})


# 200, and yet no answer


@fault
async def error_body(exchange: Exchange, _: Fault) -> None:
    """200 with an error document."""
    await exchange.reply(200, json.dumps(exchange.voice.error(500, "simulated")).encode())


@fault
async def choice_error(exchange: Exchange, _: Fault) -> None:
    """200 with partial content and `choices[0].error` (OpenRouter)."""
    await _edited(exchange, finish_reason="error", error={"code": 502, "message": "Provider returned error"})


@fault
async def empty_choices(exchange: Exchange, _: Fault) -> None:
    """200 with `choices: []`."""
    await exchange.reply(200, json.dumps(exchange.voice.chat(exchange.asked) | {"choices": []}).encode())


@fault
async def null_content(exchange: Exchange, _: Fault) -> None:
    """200 with `content: null` and no tool call."""
    await _edited(exchange, message={"role": "assistant", "content": None})


@fault
async def empty_content(exchange: Exchange, _: Fault) -> None:
    """200 with `content: ""` and no finish reason."""
    await _edited(exchange, message={"role": "assistant", "content": ""}, finish_reason=None)


@fault
async def html(exchange: Exchange, _: Fault) -> None:
    """200 with an HTML page."""
    await exchange.reply(200, HTML, "text/html")


@fault
async def empty_body(exchange: Exchange, _: Fault) -> None:
    """200 with no body at all."""
    await exchange.reply(200, b"")


@fault
async def not_json(exchange: Exchange, _: Fault) -> None:
    """200 that calls itself JSON and is not."""
    await exchange.reply(200, b'{"choices": [{"message"')


@fault
async def wrong_type(exchange: Exchange, _: Fault) -> None:
    """200 with the right bytes under the wrong content type."""
    await exchange.reply(200, exchange.body, "application/octet-stream")


@fault
async def not_an_image(exchange: Exchange, _: Fault) -> None:
    """200 that calls itself a JPEG and is not."""
    await exchange.reply(200, b"Rate limit reached, please try again later", "image/jpeg")


@fault
async def balance_notice(exchange: Exchange, _: Fault) -> None:
    """200 in which Pollinations' gateway asks, in an assistant's voice, for money."""
    text = "Top up at https://enter.pollinations.ai/top-up?ref=agent_low_balance to go on."
    none = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
    if not exchange.asked.streaming:
        document = exchange.voice.chat(exchange.asked) | none
        document["choices"][0]["message"] = {"role": "assistant", "content": text}
        await exchange.reply(200, json.dumps(document).encode(), headers={"Cache-Control": NO_STORE})
        return
    events = exchange.events
    only = events.output[0]
    only["choices"][0]["delta"] = {"content": text}
    await exchange.begin(NO_STORE)
    for document in (events.role, only, events.finish, events.finish | none | {"choices": []}, "[DONE]"):
        await exchange.event(document)
    await exchange.end()


async def _edited(exchange: Exchange, **changes: Any) -> None:
    document = exchange.voice.chat(exchange.asked)
    document["choices"][0] |= changes
    await exchange.reply(200, json.dumps(document).encode())
