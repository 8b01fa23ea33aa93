"""How providers spell a wait or a moment in a header, read without ever raising.

Numbers, Go durations, HTTP dates and RFC 3339; anything else is None. Nothing here knows which header it reads.
"""

import re
from datetime import UTC, datetime

_LONGEST = 64
"""Characters; no spelling of a moment is longer, and a long run of digits is an attack on the parser."""

_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:d|h|ms|m|s|us|µs|ns))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(d|h|ms|m|s|us|µs|ns)", re.ASCII)
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HTTP_DATES = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"[a-z]+, (?P<day>\d\d) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_TIME} (?:GMT|UTC)",  # IMF-fixdate
        rf"[a-z]+, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"[a-z]+ (?P<month>[a-z]{{3}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
)
"""The three forms of RFC 9110 5.6.7. The day's name is not checked: a wrong one is no reason to disbelieve the date."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def number(text: str) -> float | None:
    """Read a number >= 0, whole or with a fraction; signs, exponents, `nan` and `inf` are no numbers here."""
    text = text.strip()
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    return float(text)


def duration(text: str) -> float | None:
    """Read a Go duration (`1m2.5s`, `12ms`, `6m0s`) as seconds."""
    text = text.strip()
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        return None
    return sum(float(value) * _UNITS[unit] for value, unit in _DURATION_PART.findall(text))


def moment(text: str) -> float | None:
    """Read an HTTP date (RFC 9110 5.6.7, all three forms) or an RFC 3339 timestamp as seconds since the Unix epoch."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    for form in _HTTP_DATES:
        if found := form.fullmatch(text):
            return _http_date(found)
    if _RFC_3339.fullmatch(text):
        return _timestamp(text)
    return None


def _http_date(found: re.Match[str]) -> float | None:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000  # the POSIX pivot; nobody asks to be waited for for fifty years
    try:
        month = _MONTHS.index(found["month"].lower()) + 1
        second = min(int(found["second"]), 59)  # a leap second is legal in HTTP and unknown to datetime
        date = datetime(year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), second, tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp()


def _timestamp(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except ValueError:
        return None
