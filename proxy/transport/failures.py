"""The one table from what the network did to our taxonomy."""

import errno

import aiohttp

from proxy.errors import ErrorClass, Failure


class TooLateError(Exception):
    """The time that an answer had is over; raised by whoever waited for it."""


class MalformedError(Exception):
    """What the provider sent is no HTTP/1.1 answer."""


_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})

_NEVER_SENT: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), "the provider's name could not be resolved"),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch),
        "the provider's certificate was not accepted",
    ),
    ((aiohttp.ClientSSLError,), "the TLS handshake with the provider failed"),
    ((aiohttp.ConnectionTimeoutError,), "connecting to the provider took too long"),
    ((aiohttp.ClientConnectorError,), "the provider refused the connection or is unreachable"),
    ((aiohttp.InvalidURL,), "the provider's URL cannot be dialled"),
)
"""`connect`: no byte of the request was sent. The first match counts; subclasses stand before their bases."""

_BROKEN: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.ServerDisconnectedError,), "the provider closed the connection without an answer"),
    ((aiohttp.ClientPayloadError,), "the provider's answer ended before it was complete"),
    ((aiohttp.ClientResponseError,), "the provider's answer is not well-formed HTTP"),
    ((aiohttp.ClientError, OSError, ValueError), "the connection to the provider broke"),
)
"""`broken`: something went over the wire."""


def translate(exception: Exception, *, sent: bool) -> Failure:
    """Classify an exception of the client. `sent` is whether the request may have left whole.

    The message names the kind of trouble only: an exception's own text can hold a URL or a header.
    """
    if isinstance(exception, OSError) and exception.errno in _OUT_OF_DESCRIPTORS:
        return Failure(
            error_class=ErrorClass.SHED, message="sidestep is out of file descriptors", sent=False, retry_after=1.0
        )
    for kinds, message in _NEVER_SENT:
        if isinstance(exception, kinds):
            return Failure(error_class=ErrorClass.CONNECT, message=message, sent=False)
    for kinds, message in _BROKEN:
        if isinstance(exception, kinds):
            return Failure(error_class=ErrorClass.BROKEN, message=message, sent=sent)
    raise exception
