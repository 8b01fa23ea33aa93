"""What follows from each class of failure: the one table, and the questions it answers.

Every failed attempt ends in exactly one `ErrorClass`, given once at the edge. Whether the same provider is asked again,
whether another one is, whether the breaker counts it and what the provider suffers is looked up here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from proxy.config.snapshot import ErrorRule
from proxy.errors import ErrorClass, Failure


class Again(StrEnum):
    """Whether the provider that failed may be asked again within the same request."""

    NO = "no"
    YES = "yes"
    IF_UNSENT = "if_unsent"
    """Only when the request surely did not reach the provider: `failure.sent` is False."""
    LAST = "last"
    """Only when no other candidate is left and the wait fits into the deadline."""


class Elsewhere(StrEnum):
    """Whether another provider may be asked."""

    NO = "no"
    YES = "yes"
    LARGER_WINDOW = "larger_window"
    """Only one that declares a larger context window than the one that refused."""


class Effect(StrEnum):
    """What the failure does to the provider beyond this request."""

    NONE = "none"
    COOL_DOWN = "cool_down"
    """It gets no traffic until its Retry-After has passed."""
    BENCH = "bench"
    """It gets no traffic for minutes, or until its Retry-After has passed."""
    BENCH_KEY = "bench_key"
    """It gets no traffic until its key changes or a check passes."""
    REMEMBER = "remember"
    """It is not asked for this model again; its other models are unaffected."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the class table."""

    same_provider: Again
    other_provider: Elsewhere
    breaker: bool
    """Whether it counts against the breaker."""
    effect: Effect


DEFAULT_TABLE: Mapping[ErrorClass, Verdict] = MappingProxyType(
    {
        ErrorClass.CONNECT: Verdict(Again.YES, Elsewhere.YES, breaker=True, effect=Effect.NONE),
        ErrorClass.TIMEOUT: Verdict(Again.NO, Elsewhere.YES, breaker=True, effect=Effect.NONE),
        ErrorClass.BROKEN: Verdict(Again.IF_UNSENT, Elsewhere.YES, breaker=True, effect=Effect.NONE),
        ErrorClass.SERVER_ERROR: Verdict(Again.YES, Elsewhere.YES, breaker=True, effect=Effect.NONE),
        ErrorClass.OVERLOADED: Verdict(Again.YES, Elsewhere.YES, breaker=True, effect=Effect.COOL_DOWN),
        ErrorClass.RATE_LIMITED: Verdict(Again.LAST, Elsewhere.YES, breaker=False, effect=Effect.COOL_DOWN),
        ErrorClass.QUOTA: Verdict(Again.NO, Elsewhere.YES, breaker=False, effect=Effect.BENCH),
        ErrorClass.AUTH: Verdict(Again.NO, Elsewhere.YES, breaker=False, effect=Effect.BENCH_KEY),
        ErrorClass.UNSUPPORTED: Verdict(Again.NO, Elsewhere.YES, breaker=False, effect=Effect.REMEMBER),
        ErrorClass.CONTEXT_LENGTH: Verdict(Again.NO, Elsewhere.LARGER_WINDOW, breaker=False, effect=Effect.NONE),
        ErrorClass.CONTENT_POLICY: Verdict(Again.NO, Elsewhere.NO, breaker=False, effect=Effect.NONE),
        ErrorClass.INVALID_REQUEST: Verdict(Again.NO, Elsewhere.NO, breaker=False, effect=Effect.NONE),
        ErrorClass.SOFT_FAILURE: Verdict(Again.NO, Elsewhere.YES, breaker=True, effect=Effect.NONE),
        ErrorClass.CANCELLED: Verdict(Again.NO, Elsewhere.NO, breaker=False, effect=Effect.NONE),
        ErrorClass.SHED: Verdict(Again.NO, Elsewhere.YES, breaker=False, effect=Effect.NONE),
    }
)


def class_table(overrides: Mapping[ErrorClass, ErrorRule]) -> Mapping[ErrorClass, Verdict]:
    """Return the table that a policy's `errors:` makes of the default one; what it leaves out stays as it is."""
    if not overrides:
        return DEFAULT_TABLE
    table = dict(DEFAULT_TABLE)
    for error_class, rule in overrides.items():
        table[error_class] = _overridden(table[error_class], rule)
    return MappingProxyType(table)


def _overridden(verdict: Verdict, rule: ErrorRule) -> Verdict:
    if rule.same_provider is not None:
        verdict = replace(verdict, same_provider=Again.YES if rule.same_provider else Again.NO)
    if rule.other_provider is not None:
        verdict = replace(verdict, other_provider=Elsewhere.YES if rule.other_provider else Elsewhere.NO)
    if rule.breaker is not None:
        verdict = replace(verdict, breaker=rule.breaker)
    return verdict


_FATE_UNKNOWN = frozenset({ErrorClass.TIMEOUT, ErrorClass.BROKEN})
"""Nobody answered for the request, so only the provider knows whether it worked on it."""

_STATUS_AFTER_WORK = frozenset({500, 502, 504, *range(520, 529)})
"""Statuses that a server or a gateway in front of it gives after work may have begun. Not 503 and 529, which refuse
before work, and not 530, by which Cloudflare says that it found no origin at all."""


def ambiguous(failure: Failure) -> bool:
    """Say whether the request was fully sent and its fate is unknown: the provider may bill it (RFC 9110 9.2.2).

    A reset, an early end, a truncated body and a read timeout are; so are 500, 502, 504 and 520-528. A failed
    connect, 429, 503 and every 4xx are not: there the provider did not do the work.
    """
    if not failure.sent:
        return False
    return failure.error_class in _FATE_UNKNOWN or failure.status in _STATUS_AFTER_WORK


def may_ask_other(failure: Failure, verdict: Verdict, *, images: bool, replay: str) -> bool:
    """Say whether the request may go to another provider after this failure.

    `replay` is the policy's `retry.replay` and matters only when nobody answered for a request that was sent:
    `auto` replays everything but images (each may be billed, and none is cheap), `always` and `never` speak for
    themselves. `Elsewhere.LARGER_WINDOW` counts as yes: which candidates remain is decided by the candidates.
    """
    if verdict.other_provider is Elsewhere.NO:
        return False
    if failure.error_class in _FATE_UNKNOWN and ambiguous(failure):
        return replay == "always" or (replay == "auto" and not images)
    return True
