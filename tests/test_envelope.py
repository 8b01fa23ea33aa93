import json

from hypothesis import given
from hypothesis import strategies as st
from lab import records

from proxy.envelope import error_body, error_document, error_frame
from proxy.errors import AllProvidersFailed, ClientError


def test_an_error_has_the_four_keys_of_openai_and_ours():
    error = error_document(ClientError("no", param="model"), None, "req-1")["error"]

    assert error == {
        "message": "no",
        "type": "invalid_request_error",
        "param": "model",
        "code": "invalid_request",
        "sidestep": {"request_id": "req-1", "route": None, "attempts": []},
    }


def test_a_request_without_a_route_names_none():
    assert error_document(ClientError("no"), records.record(route=""), "req-1")["error"]["sidestep"]["route"] is None


def test_every_attempt_is_a_rung():
    document = error_document(AllProvidersFailed("no"), records.failover(), "req-1")

    assert document["error"]["sidestep"]["attempts"] == [
        {"provider": "alpha", "class": "overloaded", "status": 503, "ms": 200.0},
        {"provider": "beta", "class": "ok", "status": 200, "ms": 500.0},
    ]


def test_a_frame_is_one_event():
    frame = error_frame(AllProvidersFailed("a\nb\r\n\r\ndata: [DONE]"), records.all_failed())

    assert frame.startswith(b"data: {")
    assert frame.endswith(b"}\n\n")
    assert frame.count(b"\n") == 2
    assert json.loads(frame[6:])["error"]["sidestep"]["request_id"] == "req-1"


@given(st.text(st.characters()))
def test_any_message_is_encoded_as_json_in_utf_8_on_one_line(message):
    body = error_body(ClientError(message), None, "req-1")

    assert b"\n" not in body
    assert isinstance(json.loads(body.decode())["error"]["message"], str)


@given(st.text())
def test_a_message_without_surrogates_comes_through_unchanged(message):
    assert json.loads(error_body(ClientError(message), None, "req-1"))["error"]["message"] == message
