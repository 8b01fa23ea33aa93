"""OpenAI's image generation over Pollinations' `GET /prompt/{prompt}`.

What is decided here: `b64_json` unless the client asks for `url`; a request without a seed gets one derived from its
id, so that a repeat is the same URL and joins or finds the same picture instead of paying for another; the key travels
as a header, so that the `url` form (the generation's own URL, fetched once to prove it) carries no credential.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from proxy.config.snapshot import Provider
from proxy.dialects.answers import soft
from proxy.dialects.classify import Signals, failure_of, told_by
from proxy.dialects.documents import text, write_json
from proxy.dialects.openai import headers
from proxy.dialects.pictures import inspect
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, AnswerFacts, Expect, Head, Request, WireRequest

URL_LIMIT = 8 * 1024
"""Bytes of the longest URL that servers and edges take in practice."""

MIN_SIDE = 16
"""Pixels; a picture with a smaller side is a placeholder. Nothing that small can be asked for."""

_DEFAULT_SIDE = "1024"
_QUALITIES = MappingProxyType({"standard": "medium"})
_FLAGS = ("enhance", "safe", "transparent")
_EXTRAS = ("negative_prompt", "guidance_scale", "image", "aspectRatio")


def encode(request: Request, provider: Provider, model: str) -> WireRequest | Failure:
    """Write the GET. A prompt that is no text, too long for a URL, or a wish for several pictures is a Failure."""
    document = request.document
    prompt = document.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return _refused("`prompt` must be a text that is not empty")
    if document.get("n") not in (None, 1):
        return _refused("this provider makes one image per request: `n` must be 1")
    if document.get("response_format") not in (None, "b64_json", "url"):
        return _refused("`response_format` must be `b64_json` or `url`")
    sides = _sides(document.get("size"))
    if sides is None:
        return _refused('`size` must be "auto" or "WIDTHxHEIGHT" in pixels')
    url = provider.image_url + _segment(prompt) + "?" + urlencode(_query(request, sides, model), quote_via=quote)
    if len(url) > URL_LIMIT:
        return _refused("the prompt is too long for this provider, which takes it in a URL of at most 8 KiB")
    return WireRequest(
        method="GET",
        url=url,
        headers=headers(provider, accept="image/*"),
        body=None,
        model=model,
        expect=Expect.IMAGE,
        template="/prompt/{prompt}",
    )


def decode(request: Request, wire: WireRequest, head: Head, body: bytes, signals: Signals) -> Answer | Failure:
    """Judge the image by its bytes and hand it on in OpenAI's shape.

    Refused: anything that is no whole raster image, and pictures too small to be one that was asked for. Branded
    placeholders of full size cannot be told from a picture and pass.
    """
    if not body:
        return soft("the body is empty")
    told = told_by(body) if head.media_type == "application/json" or body.lstrip()[:1] == b"{" else None
    if told is not None:
        return failure_of(told, signals, status=200, body=body)
    picture = inspect(body)
    if picture is None or not head.media_type.startswith("image/"):
        return soft("the provider sent something that is not an image")
    if not picture.complete:
        return Failure(error_class=ErrorClass.BROKEN, message=f"the {picture.kind} image is truncated", status=200)
    if min(picture.width, picture.height) < MIN_SIDE:
        return soft("the provider sent a placeholder instead of an image")
    by_url = request.document.get("response_format") == "url"
    image = {"url": wire.url} if by_url else {"b64_json": b64encode(body).decode()}
    facts = AnswerFacts(model=head.headers.get("x-model-used"))
    return Answer(body=write_json({"created": _created(head), "data": [image]}), facts=facts)


def _segment(prompt: str) -> str:
    """Quote a prompt as one path segment.

    `.` and `..` mean something in a path even when percent-encoded (WHATWG URL, "double-dot URL path segment"), so
    they get a blank behind them.
    """
    return quote(prompt + " " if prompt in {".", ".."} else prompt, safe="", errors="replace")


def _query(request: Request, sides: tuple[str, str], model: str) -> dict[str, str]:
    document = request.document
    query = {"width": sides[0], "height": sides[1], "seed": _seed(request)}
    if model:
        query["model"] = model
    query |= {"nologo": "true", "private": "true"}
    quality = text(document.get("quality"))
    if quality and quality != "auto":
        query["quality"] = _QUALITIES.get(quality, quality)
    # Newer servers take any value of a flag for true, "false" included: a flag that is off is left out.
    query |= {name: "true" for name in _FLAGS if document.get(name) is True}
    query |= {name: _plain(document[name]) for name in _EXTRAS if isinstance(document.get(name), str | int | float)}
    return query


def _plain(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _sides(size: object) -> tuple[str, str] | None:
    """Read "WIDTHxHEIGHT"; None when it is not one."""
    if size in (None, "", "auto"):
        return _DEFAULT_SIDE, _DEFAULT_SIDE
    width, cross, height = text(size).partition("x")
    whole = all(side.isascii() and side.isdigit() and len(side) <= 5 and int(side) > 0 for side in (width, height))
    return (width, height) if cross and whole else None


def _seed(request: Request) -> str:
    seed = request.document.get("seed")
    if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**31:
        return str(seed)
    digest = hashlib.sha256(request.id.encode("utf-8", "replace")).digest()
    return str(int.from_bytes(digest[:4], "big") & 0x7FFFFFFF)


def _created(head: Head) -> int:
    """Take the time from the answer's Date header, since a dialect has no clock; 0 when there is none."""
    try:
        return max(0, int(parsedate_to_datetime(head.headers.get("date", "")).timestamp()))
    except (ValueError, OverflowError):
        return 0


def _refused(message: str) -> Failure:
    body: Mapping[str, Any] = {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_request"}
    }
    return Failure(
        error_class=ErrorClass.INVALID_REQUEST, message=message, status=400, sent=False, body=write_json(body)
    )
