import errno
import ssl
from types import SimpleNamespace

import aiohttp
import pytest

from proxy.errors import ErrorClass
from proxy.transport.failures import translate

CANARY = "canary-key"
KEY = SimpleNamespace(ssl=True, host=CANARY, port=443, is_ssl=True)
"""What aiohttp's connector errors ask about the connection."""


def os_error(code=errno.ECONNREFUSED):
    return OSError(code, CANARY)


NEVER_SENT = {
    "DNS": aiohttp.ClientConnectorDNSError(KEY, os_error()),
    "certificate": aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, CANARY)),
    "fingerprint": aiohttp.ServerFingerprintMismatch(b"a", b"b", CANARY, 443),
    "TLS": aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, CANARY)),
    "slow": aiohttp.ConnectionTimeoutError(CANARY),
    "refused": aiohttp.ClientConnectorError(KEY, os_error()),
    "unreachable": aiohttp.ClientConnectorError(KEY, os_error(errno.EHOSTUNREACH)),
    "URL": aiohttp.InvalidURL(f"http://{CANARY}"),
}
SENT = {
    "closed": aiohttp.ServerDisconnectedError(CANARY),
    "payload": aiohttp.ClientPayloadError(CANARY),
    "nonsense": aiohttp.ClientResponseError(SimpleNamespace(real_url=CANARY), (), message=CANARY),
    "reset": aiohttp.ClientOSError(errno.ECONNRESET, CANARY),
    "reset, bare": ConnectionResetError(errno.ECONNRESET, CANARY),
    "closing": aiohttp.ClientConnectionResetError(CANARY),
    "TLS in the middle": ssl.SSLError(1, CANARY),
    "value": ValueError(CANARY),
}
DESCRIPTORS = {
    "this process": aiohttp.ClientConnectorError(KEY, os_error(errno.EMFILE)),
    "the system": OSError(errno.ENFILE, CANARY),
}


@pytest.mark.parametrize("name", NEVER_SENT)
def test_what_failed_before_anything_was_sent_is_connect(name):
    failure = translate(NEVER_SENT[name], sent=True)

    assert (failure.error_class, failure.sent) == (ErrorClass.CONNECT, False)


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("sent", [True, False])
def test_what_failed_later_is_broken(name, sent):
    failure = translate(SENT[name], sent=sent)

    assert (failure.error_class, failure.sent) == (ErrorClass.BROKEN, sent)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_running_out_of_descriptors_is_our_own_limit_and_soon_over(name):
    failure = translate(DESCRIPTORS[name], sent=True)

    assert (failure.error_class, failure.sent, failure.retry_after) == (ErrorClass.SHED, False, 1.0)


@pytest.mark.parametrize("exception", [*NEVER_SENT.values(), *SENT.values(), *DESCRIPTORS.values()], ids=repr)
def test_no_word_of_the_exception_itself_is_told(exception):
    assert CANARY not in translate(exception, sent=True).message


def test_every_kind_of_trouble_before_sending_has_its_own_words():
    messages = [translate(exception, sent=True).message for exception in NEVER_SENT.values()]

    assert len(set(messages)) == len(messages) - 2  # refused = unreachable, certificate = fingerprint


@pytest.mark.parametrize("exception", [RuntimeError("a bug"), KeyError("a bug"), AssertionError("a bug")])
def test_a_mistake_of_ours_is_no_failure_of_the_provider(exception):
    with pytest.raises(type(exception)):
        translate(exception, sent=True)
