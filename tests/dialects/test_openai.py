import json

import pytest
from dialect_cases import KEY, SSE, a_provider, a_request, a_stream_request, a_wire

from proxy.dialects import DIALECTS
from proxy.dialects.base import Dialect
from proxy.dialects.openai import user_agent
from proxy.messages import Expect, Head, Operation, Request, WireRequest

OPENAI = DIALECTS["openai"]


def encode(request: Request, model: str = "m", dialect: Dialect = OPENAI, **settings: object) -> WireRequest:
    wire = dialect.encode(request, a_provider(**settings), model)
    assert isinstance(wire, WireRequest)
    return wire


@pytest.mark.parametrize(
    ("operation", "path", "expect"),
    [
        (Operation.CHAT, "/chat/completions", Expect.JSON),
        (Operation.COMPLETIONS, "/completions", Expect.JSON),
        (Operation.EMBEDDINGS, "/embeddings", Expect.JSON),
        (Operation.IMAGES, "/images/generations", Expect.JSON),
        (Operation.RESPONSES, "/responses", Expect.JSON),
        (Operation.MODERATIONS, "/moderations", Expect.JSON),
        (Operation.SPEECH, "/audio/speech", Expect.BYTES),
        (Operation.TRANSCRIPTIONS, "/audio/transcriptions", Expect.BYTES),
        (Operation.TRANSLATIONS, "/audio/translations", Expect.BYTES),
    ],
)
def test_every_operation_has_its_path(operation, path, expect):
    wire = encode(a_request(operation))
    assert (wire.method, wire.url, wire.template, wire.expect) == ("POST", f"https://host.test/v1{path}", path, expect)


def test_openrouter_takes_images_elsewhere():
    assert encode(a_request(Operation.IMAGES), dialect=DIALECTS["openrouter"]).url == "https://host.test/v1/images"


def test_the_clients_own_bytes_are_sent_when_nothing_changes():
    request = a_request(document={"model": "m", "odd": 1}, body=b'{ "model" :"m", "odd":1.0 }')
    assert encode(request).body is request.body


def test_the_model_is_renamed_and_unknown_fields_stay():
    request = a_request(document={"model": "gpt", "messages": [], "x": {"é": [1.5]}})
    body = encode(request, "theirs").body
    assert json.loads(body) == {"model": "theirs", "messages": [], "x": {"é": [1.5]}}


def test_a_model_is_added_where_the_client_named_none():
    assert json.loads(encode(a_request(document={"messages": []}), "theirs").body or b"")["model"] == "theirs"


def test_no_model_at_all_leaves_the_body_alone():
    request = a_request(document={"messages": []})
    assert encode(request, "").body is request.body


def test_usage_is_asked_for_in_streams_and_other_options_stay():
    request = a_stream_request(wants_usage=False, stream_options={"include_obfuscation": False})
    body = json.loads(encode(request).body or b"")
    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize(
    ("request_", "stream_usage"),
    [
        (a_stream_request(wants_usage=True), True),
        (a_stream_request(wants_usage=False), False),
        (a_stream_request(Operation.RESPONSES, wants_usage=False), True),
        (a_request(), True),
    ],
)
def test_usage_is_not_asked_for_otherwise(request_, stream_usage):
    assert encode(request_, stream_usage=stream_usage).body is request_.body


def test_a_stream_expects_events():
    wire = encode(a_stream_request())
    assert (wire.expect, wire.headers["accept"]) == (Expect.SSE, "text/event-stream")


def test_speech_as_events_expects_events():
    assert encode(a_request(Operation.SPEECH, {"model": "m", "stream_format": "sse"})).expect is Expect.SSE


def test_an_upload_passes_as_it_is():
    request = a_request(
        Operation.TRANSCRIPTIONS, {}, body=b"--b\r\n...", content_type="multipart/form-data; boundary=b"
    )
    wire = encode(request, "whisper")
    assert wire.body is request.body
    assert wire.headers["content-type"] == "multipart/form-data; boundary=b"


def test_the_headers_are_ours_and_the_providers_own_win():
    wire = encode(a_request(), headers={"X-Title": "app", "User-Agent": "app/1"})
    assert wire.headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "user-agent": "app/1",
        "x-title": "app",
    }


def test_we_say_who_we_are():
    assert encode(a_request()).headers["user-agent"].startswith("sidestep")
    assert user_agent("pytest") == f"pytest/{pytest.__version__}"


def test_a_checkout_that_was_never_installed_has_no_version():
    assert user_agent("no-such-distribution") == "no-such-distribution"


def test_no_key_sends_no_authorization():
    assert "authorization" not in encode(a_request(), api_key=None).headers


def test_the_key_is_not_in_the_repr():
    assert KEY not in repr(encode(a_request()))


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain"])
def test_what_is_no_stream_has_no_reader(content_type):
    request = a_stream_request()
    assert OPENAI.reader(request, a_wire(OPENAI, request), Head(200, {"content-type": content_type})) is None


def test_a_plain_request_has_no_reader():
    assert OPENAI.reader(a_request(), a_wire(OPENAI, a_request()), SSE) is None


def test_a_stream_without_a_content_type_is_read():
    request = a_stream_request()
    assert OPENAI.reader(request, a_wire(OPENAI, request), Head(200, {})) is not None
