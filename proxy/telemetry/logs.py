"""Log lines: one JSON object for each request and for each change of state, and nothing that a client must not share.

No header values, no bodies, no URLs. What comes from libraries is cut to its first line and loses the texts of its
exceptions, because those quote what was sent.
"""

import json
import logging
import math
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.record import Attempt
from proxy.telemetry.facts import bounded
from proxy.telemetry.log_writer import LogWriter, QueueHandler
from proxy.telemetry.request_line import request_line, request_log
from proxy.telemetry.summary import LOGGER, Summary, iso_time

OURS = "sidestep"
"""The root of our own loggers: `sidestep.server`, `sidestep.tracing`, ..."""
MAX_MESSAGE = 2048
MAX_FIELD = 500
MAX_FRAMES = 20
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every LogRecord carries; anything else came in through `extra`."""

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

logger = logging.getLogger(LOGGER)
provider_logger = logging.getLogger("sidestep.provider")


def configure(log_format: str = "json", level: str = "info", writer: LogWriter | None = None) -> "Closer":
    """Send all logging of this process to stdout, through a queue that never blocks.

    `log_format` is `json` or `console`; `level` (debug, info, warning, error) is for our own loggers, libraries speak
    from warning on. `close()` on what is returned writes the rest and puts everything back.
    """
    return Closer(writer or LogWriter(), Console() if log_format == "console" else Json(), level.upper())


class Closer:
    """Undoes `configure`."""

    def __init__(self, writer: LogWriter, formatter: "Json | Console", level: str) -> None:
        self._writer = writer
        self._root, self._ours = logging.getLogger(), logging.getLogger(OURS)
        self._before = (self._root.handlers[:], self._root.level, self._ours.level)
        self._formatter = formatter
        handler = QueueHandler(writer)
        handler.setFormatter(formatter)
        self._root.handlers[:] = [handler]
        self._root.setLevel(logging.WARNING)
        self._ours.setLevel(level)

    @property
    def dropped(self) -> int:
        """Lines that nobody took in time."""
        return self._writer.dropped

    def log_requests(self, summaries: Iterable[Summary]) -> None:
        """Write the lines of finished requests straight to the queue.

        They say what `log_requests` says. Requests are most of what is logged, and `logging` would take longer to carry
        a line than it takes to make it.
        """
        least, put, line_of = logger.getEffectiveLevel(), self._writer.put, self._formatter.request
        for summary in summaries:
            if _LEVELS[summary.level] >= least:
                put(line_of(summary))

    def close(self) -> None:
        """Put logging back as it was and write what is left, for at most a second."""
        handlers, root_level, our_level = self._before
        self._root.handlers[:] = handlers
        self._root.setLevel(root_level)
        self._ours.setLevel(our_level)
        self._writer.close()


def log_requests(summaries: Iterable[Summary]) -> None:
    """Write the lines of finished requests, through whatever logging is set up (a program that embeds us)."""
    for summary in summaries:
        level = _LEVELS[summary.level]
        if logger.isEnabledFor(level):
            logger.log(level, "request", extra=request_log(summary))


def log_changes(attempt: Attempt) -> None:
    """Write a line for each change of the provider's state that this attempt brought about."""
    for event in attempt.events:
        change = _CHANGES.get(event.name)
        if change is not None:
            message, attribute = change
            now = str(event.attributes[attribute])
            level = logging.INFO if now in _WELL else logging.WARNING
            provider_logger.log(level, message, extra={"provider": attempt.provider, "state": now})


_CHANGES = {
    "breaker.change": ("a provider's breaker changed", "sidestep.breaker.state"),
    "health.change": ("a provider's health changed", "sidestep.health"),
}
"""By the event that an attempt carries: what the line says, and where the event tells the new state."""
_WELL = frozenset({"closed", "healthy"})


class Json(logging.Formatter):
    """One JSON object a line: plain ASCII, every control character escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Never raises for what a field holds: a value of no JSON type is told by the name of its type."""
        return _ENCODE(_plain_fields(line_of(record))).replace("\x7f", "\\u007f")

    request = staticmethod(request_line)
    """The line of one finished request."""


class Console(logging.Formatter):
    """The same for people: time, level, message, then `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Values are written as JSON, so that nothing in them can move the cursor or start a line."""
        return _spaced(line_of(record))

    def request(self, summary: Summary) -> str:
        """The line of one finished request."""
        return _spaced(json.loads(request_line(summary)))


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    """Gather what one line tells."""
    ours = record.name == OURS or record.name.startswith(f"{OURS}.")
    message = record.getMessage()
    line: dict[str, Any] = {
        "time": iso_time(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": bounded(message if ours else message.partition("\n")[0], MAX_MESSAGE),
    }
    if ours:
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD}
    if record.exc_info and record.exc_info[1] is not None:
        line["exception"] = _exception(record.exc_info[1], ours=ours)
    return line


def _exception(error: BaseException, *, ours: bool) -> dict[str, Any]:
    """Tell where it came from; what it says only when we said it."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    told: dict[str, Any] = {
        "type": type(error).__qualname__,
        "stack": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if ours:
        told["message"] = str(error)
    return told


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, object]:
    return {bounded(name, MAX_FIELD): _plain(value) for name, value in fields.items()}


def _plain(value: object) -> object:
    """Make any value one that JSON knows; texts are bounded, secrets show themselves as `***`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return bounded(value, MAX_MESSAGE)
    if isinstance(value, Mapping):
        return {bounded(str(name), MAX_FIELD): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return f"<{type(value).__qualname__}>"


def _spaced(line: dict[str, Any]) -> str:
    head = (str(line.pop("time")), f"{line.pop('level'):<7}", _escaped(line.pop("message")))
    line.pop("logger")
    return " ".join((*head, *(f"{name}={_escaped(value)}" for name, value in line.items())))


def _escaped(value: object) -> str:
    text = json.dumps(_plain(value), allow_nan=False).replace("\x7f", "\\u007f")
    bare = isinstance(value, str) and text[1:-1] == value and "=" not in value
    return text[1:-1] if bare else text
