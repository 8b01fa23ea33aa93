import json

import pytest
from lab import records

from proxy.errors import (
    AllProvidersFailed,
    ClientError,
    DeadlineExceeded,
    ErrorClass,
    Failure,
    NoProviderAvailable,
    ProviderVerdict,
    RateLimited,
)
from proxy.record import Event
from proxy.server.answer import error_reply, reply_headers
from proxy.server.probe import probe

NOW = records.STARTED + 2.0
HEADERS = {"x-request-id": "req-1"}


def verdict(**fields):
    return ProviderVerdict(Failure(error_class=ErrorClass.INVALID_REQUEST, message="bad temperature", **fields))


def told(error, record=None):
    """The error inside the response's body."""
    return json.loads(error_reply(error, record, HEADERS).body)["error"]


# Headers of every answer


def test_an_answer_names_who_gave_it_and_how():
    headers = reply_headers(records.failover(), NOW)

    assert headers["x-request-id"] == "req-1"
    assert headers["x-sidestep-provider"] == "beta"
    assert headers["x-sidestep-attempts"] == "2"
    assert headers["x-sidestep-failover"] == "true"
    assert headers["x-sidestep-route"] == "chat"
    assert headers["x-sidestep-generation"] == "abc123def456"


def test_an_answer_of_the_first_provider_is_no_failover():
    assert reply_headers(records.success(), NOW)["x-sidestep-failover"] == "false"


def test_a_retry_at_the_same_provider_is_no_failover():
    twice = records.record(records.failed_call(1, "alpha"), records.call(2, "alpha", resend=1))

    assert reply_headers(twice, NOW)["x-sidestep-failover"] == "false"


def test_the_time_upstream_is_told_apart_from_our_own():
    attempt = records.call(at=0.25, took=1.5)

    assert reply_headers(records.record(attempt), NOW)["server-timing"] == "proxy;dur=500.0, upstream;dur=1500.0"


def test_an_attempt_that_still_streams_counts_until_now():
    attempt = records.call(at=0.25, ended=0.0)

    assert reply_headers(records.record(attempt), NOW)["server-timing"] == "proxy;dur=250.0, upstream;dur=1750.0"


def test_an_answer_from_memory_says_so_and_how_old_it_is():
    headers = reply_headers(records.success(cache="hit", age=61.9), NOW)
    assert (headers["x-sidestep-cache"], headers["age"]) == ("hit", "61")


def test_an_answer_that_is_fresh_has_no_age():
    headers = reply_headers(records.success(cache="miss"), NOW)
    assert (headers["x-sidestep-cache"], "age" in headers) == ("miss", False)


def test_a_degraded_answer_says_so():
    assert reply_headers(records.success(degraded="static"), NOW)["x-sidestep-degraded"] == "static"


def test_an_answer_of_the_last_chance_says_so():
    headers = reply_headers(records.success(events=(Event("last_chance", NOW),)), NOW)

    assert headers["x-sidestep-last-chance"] == "true"


def test_an_ordinary_answer_says_neither():
    assert not {"x-sidestep-degraded", "x-sidestep-last-chance"} & reply_headers(records.success(), NOW).keys()


def test_the_server_is_named_without_its_version():
    assert reply_headers(records.success(), NOW)["server"] == "sidestep"
    assert error_reply(ClientError("no"), None, {}).headers["server"] == "sidestep"


# Errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ClientError("no"), 400, "invalid_request"),
        (ClientError("no", status=413, code="body_too_large"), 413, "body_too_large"),
        (RateLimited("no"), 429, "rate_limited"),
        (AllProvidersFailed("no"), 502, "all_providers_failed"),
        (NoProviderAvailable("no"), 503, "no_provider_available"),
        (DeadlineExceeded("no"), 504, "deadline_exceeded"),
    ],
)
def test_an_error_has_its_status_and_openais_shape(error, status, code):
    response = error_reply(error, records.all_failed(), HEADERS)

    assert (response.status, response.headers["content-type"]) == (status, "application/json")
    assert told(error)["code"] == code
    assert told(error)["message"] == "no"


def test_an_error_tells_the_rungs_of_the_ladder():
    extra = told(AllProvidersFailed("no"), records.all_failed())["sidestep"]

    assert (extra["request_id"], extra["route"]) == ("req-1", "chat")
    assert extra["attempts"] == [
        {"provider": provider, "class": "overloaded", "status": 503, "ms": 500.0}
        for provider in ("alpha", "alpha", "beta")
    ]


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds"),
    [(0.0, "1", "1"), (0.25, "1", "250"), (1.0, "1", "1000"), (1.2, "2", "1200"), (30.0, "30", "30000")],
)
def test_the_time_to_come_back_is_never_told_too_early(seconds, whole, milliseconds):
    headers = error_reply(RateLimited("no", retry_after=seconds), None, {}).headers

    assert (headers["retry-after"], headers["retry-after-ms"]) == (whole, milliseconds)


def test_without_a_known_recovery_no_time_is_told():
    headers = error_reply(RateLimited("no"), None, {}).headers

    assert not {"retry-after", "retry-after-ms", "x-should-retry"} & headers.keys()


@pytest.mark.parametrize(("flag", "told"), [(True, "true"), (False, "false")])
def test_a_client_is_told_whether_to_try_again(flag, told):
    assert error_reply(RateLimited("no", should_retry=flag), None, {}).headers["x-should-retry"] == told


# Verdicts


def test_a_verdict_is_passed_on_as_the_provider_wrote_it():
    response = error_reply(verdict(status=422, body=b'{"detail":  "bad"}'), None, HEADERS)

    assert (response.status, response.body) == (422, b'{"detail":  "bad"}')
    assert response.headers["x-should-retry"] == "false"


def test_a_verdict_without_a_body_is_told_in_our_own_shape():
    error = told(verdict(status=400, code="bad_value"))

    assert (error["message"], error["code"]) == ("bad temperature", "bad_value")


@pytest.mark.parametrize("status", [None, 200, 204, 302])
def test_a_verdict_that_came_under_no_error_status_is_a_400(status):
    assert error_reply(verdict(status=status), None, HEADERS).status == 400


# Probes


@pytest.mark.parametrize(
    ("path", "ready", "status", "body"),
    [
        ("/livez", True, 200, b"ok\n"),
        ("/livez", False, 200, b"ok\n"),
        ("/readyz", True, 200, b"ok\n"),
        ("/readyz", False, 503, b"draining\n"),
    ],
)
def test_a_probe_answers_with_a_constant(path, ready, status, body):
    response = probe(path, ready=ready)

    assert (response.status, response.body) == (status, body)
