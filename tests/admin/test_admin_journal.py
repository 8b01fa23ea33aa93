"""The journal keeps the last requests without their content, and loses events rather than memory."""

import json

import pytest
from lab import records

from proxy.record import Event
from proxy.server.admin.journal import MAX_LISTENERS, REMEMBERED, WAITING, Journal, TooManyListenersError
from proxy.telemetry.summary import summary_of


def observe(journal, record):
    journal.observe([record], [summary_of(record)])


def heard(listener):
    """Take everything that waits for a listener."""
    return [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]


def test_a_finished_request_is_kept_with_its_ladder():
    journal = Journal()
    observe(journal, records.failover())
    (entry,) = journal.requests()
    assert entry["provider"] == "beta"
    assert entry["failover"] is True
    assert entry["outcome"] == "ok"
    assert [(rung["provider"], rung["class"]) for rung in entry["attempts"]] == [
        ("alpha", "overloaded"),
        ("beta", "ok"),
    ]


def test_a_request_keeps_nothing_of_what_was_asked_or_answered():
    journal = Journal()
    observe(journal, records.success(captured_output="the secret answer"))
    assert "secret" not in json.dumps(journal.requests())


def test_only_the_last_requests_are_kept_the_newest_first():
    journal = Journal()
    for number in range(REMEMBERED + 5):
        observe(journal, records.success(request=records.request(id=f"r{number}")))
    kept = [entry["request_id"] for entry in journal.requests()]
    assert kept == [f"r{number}" for number in range(REMEMBERED + 4, 4, -1)]


def test_a_model_name_of_any_length_is_cut():
    journal = Journal()
    observe(journal, records.success(request=records.request(model="m" * 5000)))
    assert len(journal.requests()[0]["model"]) == 100


def test_a_listener_hears_of_a_failover_and_then_of_its_request():
    journal = Journal()
    listener = journal.join()
    observe(journal, records.failover())
    names = [event.name for event in heard(listener)]
    assert names == ["failover", "request"]


def test_a_listener_hears_of_a_breaker_that_changed():
    change = Event("breaker.change", records.STARTED, {"sidestep.provider": "alpha", "sidestep.breaker.state": "open"})
    journal = Journal()
    listener = journal.join()
    observe(journal, records.record(records.failed_call(events=(change,))))
    (event, _) = heard(listener)
    assert (event.name, event.data) == ("breaker", {"provider": "alpha", "state": "open"})


def test_a_listener_that_left_hears_nothing_more():
    journal = Journal()
    listener = journal.join()
    journal.leave(listener)
    journal.tell("reload", {"ok": True})
    assert heard(listener) == []


def test_a_listener_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many():
    journal = Journal()
    slow, quick = journal.join(), journal.join()
    for number in range(WAITING + 3):
        journal.tell("override", {"number": number})
        heard(quick)
    assert slow.dropped == 3
    assert [event.data["number"] for event in heard(slow)] == list(range(3, WAITING + 3))
    assert quick.dropped == 0


def test_only_so_many_may_listen_until_one_leaves():
    journal = Journal()
    listeners = [journal.join() for _ in range(MAX_LISTENERS)]
    with pytest.raises(TooManyListenersError):
        journal.join()
    journal.leave(listeners[0])
    assert journal.join() is not listeners[0]


def test_at_the_end_every_listener_is_sent_home_even_one_with_a_full_queue():
    journal = Journal()
    listener = journal.join()
    for _ in range(WAITING):
        journal.tell("reload", {})
    journal.close()
    assert heard(listener)[-1] is None
