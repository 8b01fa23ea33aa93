"""What a finished `Record` amounts to: the readings that spans, metrics and log lines share, so that they agree."""

from operator import attrgetter

from proxy.errors import ErrorClass, ProviderVerdict
from proxy.record import Attempt, Record

MAX_MODEL = 100
"""Characters of a model's name, which a client may choose freely."""
MAYBE_BILLED = frozenset({ErrorClass.TIMEOUT, ErrorClass.BROKEN, ErrorClass.CANCELLED})
"""Classes after which nobody on our side knows whether the provider finished, and so charges for, its answer."""


def bounded(text: str, limit: int) -> str:
    """Cut a foreign string to `limit` characters of valid UTF-8: JSON may hold lone surrogates, protobuf may not."""
    cut = text[:limit]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode("utf-8")


def error_type(record: Record) -> str | None:
    """Find the `error.type` of the whole request: our own code, or the class of what broke; None without error.

    A provider's verdict carries the provider's own code, of which there is no end, so its class is told instead.
    """
    if record.broken is not None:
        return record.broken.error_class.value
    if record.cancelled or record.error is None:
        return None
    if isinstance(record.error, ProviderVerdict):
        last = record.attempts[-1].failure if record.attempts else None
        return last.error_class.value if last else "invalid_request"
    return record.error.code


def maybe_billed(attempt: Attempt) -> bool:
    """Whether the provider had the whole request and may charge for an answer that never came through."""
    failure = attempt.failure
    return failure is not None and failure.sent and failure.error_class in MAYBE_BILLED


def duration(record: Record) -> float:
    """Seconds from the request's start to the settlement of its answer."""
    seconds = record.ended - record.started
    return seconds if seconds > 0 else 0.0


def overhead(record: Record) -> float:
    """Seconds that sidestep itself took.

    The request's duration, less the time in which an attempt was under way (overlaps counted once), less the back-off
    waited before attempts, less the wait for an identical request's answer. What a slow client took to read its answer
    falls into the last attempt, not in here.
    """
    attempts, elsewhere, covered = record.attempts, record.shared_wait, record.started
    if len(attempts) > 1:
        attempts = sorted(attempts, key=attrgetter("started"))
    for attempt in attempts:
        elsewhere += attempt.waited
        if attempt.ended > covered:
            elsewhere += attempt.ended - max(covered, attempt.started)
            covered = attempt.ended
    own = record.ended - record.started - elsewhere
    return own if own > 0 else 0.0
