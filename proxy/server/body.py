"""Reading a request's body within its limits, the same on both listeners."""

import asyncio
from collections.abc import Mapping

from aiohttp import HttpVersion11, web
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestPayloadError

from proxy.config.snapshot import Limits
from proxy.errors import ClientError

SPREAD = 0.1
"""Share of `body_time` over which the ends of many slow bodies are spread, so that they do not all end at once."""


async def read_body(http: web.BaseRequest, headers: Mapping[str, str], limits: Limits, draw: float = 0.0) -> bytes:
    """Read the whole body within its limits; `draw` is from [0, 1). Raises ClientError 400, 408, 413, 415 or 417."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ClientError("a compressed body is not taken", status=415, code="unsupported_media_type")
    too_large = ClientError(f"the body is larger than {limits.body} bytes", status=413, code="body_too_large")
    if (http.content_length or 0) > limits.body:
        raise too_large
    await _answer_expectation(http, headers)
    pieces = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_time * (1.0 + SPREAD * draw)):
            while piece := await http.content.readany():
                size += len(piece)
                if size > limits.body:
                    raise too_large
                pieces.append(piece)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_time:g} s"
        raise ClientError(message, status=408, code="body_too_slow") from None
    except (RequestPayloadError, HTTPException, ValueError):
        raise ClientError("the body is not framed as HTTP/1.1 says", code="bad_http") from None
    return b"".join(pieces)


async def _answer_expectation(http: web.BaseRequest, headers: Mapping[str, str]) -> None:
    """Send `100 Continue` only now, when the body is going to be read (RFC 9110 section 10.1.1)."""
    expectation = headers.get("expect")
    if expectation is None or http.version != HttpVersion11:
        return
    if expectation.lower() != "100-continue":
        raise ClientError("only 'Expect: 100-continue' is understood", status=417, code="expectation_failed")
    writer = http.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The interim response is not part of the answer, which is still unsent.
    writer.output_size = 0
