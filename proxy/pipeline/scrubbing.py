"""Take our keys out of a provider's words: providers do repeat them, and their words end up in answers and in logs."""

from dataclasses import replace

from proxy.config.secrets import Secret, scrub
from proxy.errors import Failure

Secrets = tuple[Secret, ...]


def scrubbed(failure: Failure, secrets: Secrets) -> Failure:
    """Take every known secret out of a provider's words, before anyone sees them."""
    message = scrub(failure.message, secrets)
    code = scrub(failure.code, secrets) if failure.code else failure.code
    body = failure.body
    if body is not None:
        body = scrub(body.decode("utf-8", "surrogateescape"), secrets).encode("utf-8", "surrogateescape")
    if (message, code, body) == (failure.message, failure.code, failure.body):
        return failure
    return replace(failure, message=message, code=code, body=body)
