import json
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import records

from proxy.config.secrets import Secret
from proxy.record import Event
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.logs import Console, Json, configure, log_changes, log_requests
from proxy.telemetry.summary import summary_of


class Sink:
    """Keeps what is written, and can be told when enough has come."""

    def __init__(self):
        self.data = b""

    def __call__(self, data):
        self.data += data

    @property
    def lines(self):
        return self.data.decode().splitlines()

    @property
    def documents(self):
        return [json.loads(line) for line in self.lines]


def logged(log, log_format="json", level="debug"):
    """Run `log` with logging configured, and return what was written."""
    return told(lambda _: log(), log_format, level)


def told(tell, log_format="json", level="debug"):
    """The same with what `configure` returned as the argument."""
    sink = Sink()
    closer = configure(log_format, level, LogWriter(sink))
    try:
        tell(closer)
    finally:
        closer.close()
    return sink


def entry(name="sidestep.test", message="hello", **fields):
    record = logging.makeLogRecord({"name": name, "msg": message, "levelname": "INFO", "created": 0.0})
    vars(record).update(fields)
    return record


def test_one_request_is_one_line_of_json():
    (document,) = logged(lambda: log_requests([summary_of(records.success())])).documents
    assert document["message"] == "request"
    assert (document["level"], document["route"]) == ("info", "chat")


def test_a_level_above_keeps_requests_that_went_well_quiet():
    sink = logged(
        lambda: log_requests([summary_of(records.success()), summary_of(records.failover())]),
        level="warning",
    )
    assert [document["provider"] for document in sink.documents] == ["beta"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("record", [records.success(), records.failover(), records.all_failed(), records.verdict()])
def test_the_quick_way_to_log_a_request_says_what_logging_says(record, log_format):
    quick = told(lambda closer: closer.log_requests([summary_of(record)]), log_format)
    assert quick.lines == logged(lambda: log_requests([summary_of(record)]), log_format).lines
    assert len(quick.lines) == 1


def test_the_quick_way_knows_the_level_as_well():
    both = [records.success(), records.failover()]
    sink = told(lambda closer: closer.log_requests([summary_of(record) for record in both]), level="warning")
    assert [document["provider"] for document in sink.documents] == ["beta"]


def test_extra_fields_become_fields():
    sink = logged(lambda: logging.getLogger("sidestep.x").info("breaker", extra={"provider": "a", "state": "open"}))
    (document,) = sink.documents
    assert (document["message"], document["provider"], document["state"]) == ("breaker", "a", "open")


def test_an_exception_of_ours_becomes_fields():
    def log():
        try:
            int("what went wrong")
        except ValueError:
            logging.getLogger("sidestep.x").exception("failed")

    (document,) = logged(log).documents
    assert document["exception"]["type"] == "ValueError"
    assert "what went wrong" in document["exception"]["message"]
    assert document["exception"]["stack"][-1].endswith(" log")


def test_a_library_loses_its_second_line_its_fields_and_the_words_of_its_exceptions():
    def log():
        try:
            int("canary")
        except ValueError:
            logging.getLogger("aiohttp.server").exception("Error\ncanary", extra={"header": "canary"})

    sink = logged(log)
    assert sink.documents[0]["message"] == "Error"
    assert sink.documents[0]["exception"]["type"] == "ValueError"
    assert b"canary" not in sink.data


def test_libraries_speak_from_warning_on():
    sink = logged(lambda: [logging.getLogger("aiohttp").info("chatter"), logging.getLogger("aiohttp").warning("news")])
    assert [document["message"] for document in sink.documents] == ["news"]


def test_a_secret_in_a_field_stays_one():
    line = Json().format(entry(key=Secret("canary"), nested={"list": [Secret("canary")]}))
    assert "canary" not in line
    assert "canary" not in Console().format(entry(key=Secret("canary")))


def test_numbers_that_json_lacks_are_told_as_words():
    assert json.loads(Json().format(entry(ratio=float("nan"))))["ratio"] == "nan"


def test_console_lines_are_for_people():
    line = Console().format(entry(message="listening", address="127.0.0.1:8080", note="two words", n=1))
    assert line == "1970-01-01T00:00:00.000Z info    listening address=127.0.0.1:8080 note=two words n=1"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=10) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.text(st.characters(), max_size=20), ANYTHING)
def test_every_line_is_json_without_control_characters(message, value):
    line = Json().format(entry(message=message.replace("%", ""), field=value))
    json.loads(line, parse_constant=pytest.fail)
    assert line.isascii()
    assert line.isprintable()


@given(st.text(st.characters(), max_size=20), ANYTHING)
def test_no_console_line_can_move_the_cursor_or_start_another(message, value):
    line = Console().format(entry(message=message.replace("%", ""), field=value))
    assert line.isascii()
    assert line.isprintable()


def test_a_blocked_reader_costs_lines_and_never_blocks():
    blocked, reached = threading.Event(), threading.Event()

    def stuck(data):
        reached.set()
        blocked.wait(10)

    writer = LogWriter(stuck, size=3)
    writer.put("taken")
    assert reached.wait(10)
    for number in range(10):
        writer.put(str(number))
    assert writer.dropped == 7
    blocked.set()
    writer.close(timeout=10.0)


def test_a_full_disk_costs_lines_and_is_survived():
    written = Sink()

    def full_once(data):
        if b"lost" in data:
            raise OSError(28, "No space left on device")
        written(data)

    writer = LogWriter(full_once)
    writer.put("lost")
    while not writer.dropped:
        threading.Event().wait(0.001)
    writer.put("kept")
    writer.close(timeout=10.0)
    assert (written.lines, writer.dropped) == (["kept"], 1)


def test_closing_does_not_wait_for_a_reader_that_never_comes():
    release, reached = threading.Event(), threading.Event()

    def stuck(data):
        reached.set()
        release.wait(10)

    writer = LogWriter(stuck)
    writer.put("taken")
    assert reached.wait(10)
    writer.close(timeout=0.05)
    assert not release.is_set()
    release.set()


def test_after_closing_a_line_is_dropped_and_counted():
    writer = LogWriter(Sink())
    writer.close()
    writer.put("late")
    assert writer.dropped == 1


def test_the_process_knows_how_many_lines_it_lost():
    writer = LogWriter(Sink())
    closer = configure("json", "info", writer)
    try:
        writer.close()
        logging.getLogger("sidestep").warning("late")
        assert closer.dropped == 1
    finally:
        closer.close()


def test_closing_puts_logging_back_as_it_was():
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("sidestep").level)
    logged(lambda: None, level="error")
    assert (root.handlers, root.level, logging.getLogger("sidestep").level) == before


# Changes of state


@pytest.mark.parametrize(
    ("name", "attribute", "state", "level", "message"),
    [
        ("breaker.change", "sidestep.breaker.state", "open", "WARNING", "a provider's breaker changed"),
        ("breaker.change", "sidestep.breaker.state", "closed", "INFO", "a provider's breaker changed"),
        ("health.change", "sidestep.health", "unhealthy", "WARNING", "a provider's health changed"),
        ("health.change", "sidestep.health", "healthy", "INFO", "a provider's health changed"),
    ],
)
def test_a_change_of_a_provider_s_state_is_a_line_of_its_own(caplog, name, attribute, state, level, message):
    attempt = records.call(provider="alpha", events=(Event(name, 0.0, {attribute: state}),))
    with caplog.at_level(logging.INFO):
        log_changes(attempt)

    (line,) = caplog.records
    assert (line.levelname, line.message, line.provider, line.state) == (level, message, "alpha", state)


def test_what_is_no_change_of_state_is_no_line(caplog):
    with caplog.at_level(logging.DEBUG):
        log_changes(records.call(events=(Event("hold_back.end", 0.0, {"sidestep.held_bytes": 1}),)))

    assert caplog.records == []
