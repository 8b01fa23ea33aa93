"""When a provider wants to be asked again, as its reply's headers tell it."""

from collections.abc import Mapping

from proxy.resilience.moments import duration, moment, number

_EPOCH_SECONDS = 1e9
"""A bare reset number from here on is a moment (2001 onwards), not a wait of thirty years."""
_EPOCH_MILLISECONDS = 1e11
"""And from here on it counts milliseconds (OpenRouter), not a year beyond 5000."""

_LIMITS = ("", "-requests", "-tokens", "-requests-day", "-tokens-minute")
"""What `x-ratelimit-reset` and `x-ratelimit-remaining` are suffixed with: plain (OpenRouter, Together), per kind
(OpenAI, Azure, Groq), per kind and period (Cerebras)."""

_FAMILIES = tuple(
    (f"x-ratelimit-remaining{kind}", f"x-ratelimit-reset{kind}", f"x-ratelimit-limit{kind}") for kind in _LIMITS
)
"""Spelled out once: every answer is asked for them."""
_REMAINING = frozenset(remaining for remaining, _, _ in _FAMILIES)


def retry_after(headers: Mapping[str, str], wall: float, *, limit: float) -> float | None:
    """Return the seconds to wait, from 0 to `limit`, or None when the reply tells nothing usable.

    The first of these that makes sense holds: `retry-after-ms`; `retry-after` in seconds or as a date (RFC 9110
    10.2.3); the `x-ratelimit-reset` family. Nonsense, negative numbers and moments that have passed are ignored, never
    an error. Dates are read against the reply's own `date`, so that a clock that is off (theirs or ours, `wall`, in
    epoch seconds) does not matter. Header names are lower-case.
    """
    sent = moment(headers.get("date", ""))
    here = wall if sent is None else sent
    wait = _milliseconds(headers.get("retry-after-ms", ""))
    if wait is None:
        wait = _wait(headers.get("retry-after", ""), here)
    if wait is None:
        wait = _rate_limit_reset(headers, here)
    return None if wait is None else min(wait, limit)


def used_up(headers: Mapping[str, str], wall: float, *, limit: float) -> float | None:
    """Return the seconds until a limit that this answer used up has something left, or None when none says it is.

    Only a provider that says that 0 remain and when they are back is believed; of several such limits the last to be
    back counts, at most `limit` seconds. Numbers and moments are ends of a period. A reset that is spelled as a
    duration (OpenAI, Groq) tells when a bucket that refills steadily will be full again; the next request fits in long
    before, after one part in `x-ratelimit-limit`.
    """
    if _REMAINING.isdisjoint(headers):
        return None
    longest = None
    for remaining, reset, size in _FAMILIES:
        left = headers.get(remaining)
        if left is None or number(left) != 0:
            continue
        told = headers.get(reset, "")
        here = moment(headers.get("date", ""))
        wait = _reset(told, wall if here is None else here)
        if wait and number(told) is None and duration(told) is not None:
            wait /= max(1.0, number(headers.get(size, "")) or 1.0)
        if wait:
            longest = max(longest or 0.0, min(wait, limit))
    return longest


def _milliseconds(text: str) -> float | None:
    value = number(text)
    return None if value is None else value / 1000


def _wait(text: str, here: float) -> float | None:
    value = number(text)
    if value is None:
        value = duration(text)  # "60s" is no delay-seconds, but it is clear, and it is sent
    return _until(moment(text), here) if value is None else value


def _until(when: float | None, here: float) -> float | None:
    return when - here if when is not None and when >= here else None


def _rate_limit_reset(headers: Mapping[str, str], here: float) -> float | None:
    """Return the longest reset of the limits that are used up; if none says so, the first that keeps its state silent.

    A limit that still has something remaining is not why the request was refused, so its reset means nothing here;
    nor does a reset of zero.
    """
    used_up: list[float] = []
    silent: list[float] = []
    for kind in _LIMITS:
        wait = _reset(headers.get(f"x-ratelimit-reset{kind}", ""), here)
        remaining = number(headers.get(f"x-ratelimit-remaining{kind}", ""))
        if wait and not remaining:
            (silent if remaining is None else used_up).append(wait)
    return max(used_up) if used_up else next(iter(silent), None)


def _reset(text: str, here: float) -> float | None:
    """Read a reset in any of its five spellings: seconds, epoch seconds or milliseconds, Go duration, date."""
    value = number(text)
    if value is None:
        return _wait(text, here)
    if value >= _EPOCH_MILLISECONDS:
        return _until(value / 1000, here)
    return _until(value, here) if value >= _EPOCH_SECONDS else value
