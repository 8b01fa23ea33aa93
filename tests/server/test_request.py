import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientError
from proxy.messages import ENDPOINTS, Operation, Request
from proxy.server.request import MAX_DEPTH, MAX_MODEL, complete, operation_of, parse_document, request_id


def parse(body=b"{}", operation=Operation.CHAT, **headers):
    fields = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(id="req-1", path="/v1/chat/completions", operation=operation, received=5.0)
    complete(request, fields, body)
    return request


def dumped(**fields):
    return json.dumps(fields).encode()


def refusal(*arguments, **keywords):
    with pytest.raises(ClientError) as caught:
        parse(*arguments, **keywords)
    return caught.value


def outcome(function, *arguments):
    """What it returns, or the ClientError that it raises; anything else is a mistake and goes through."""
    try:
        return function(*arguments)
    except ClientError as error:
        return error


# The gate

NOT_JSON = {
    "nothing": b"",
    "blanks": b" \n",
    "an array": b"[]",
    "a string": b'"hello"',
    "null": b"null",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": Infinity}',
    "minus Infinity": b'{"temperature": -Infinity}',
    "a number beyond doubles": b'{"temperature": 1e999}',
    "half of a surrogate pair": b'{"prompt": "\\ud83d"}',
    "half of a surrogate pair as a key": b'{"\\ud83d": 1}',
    "deep arrays": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and unclosed": b"[" * 100_000,
    "bytes that are not UTF-8": b'{"prompt": "\xff"}',
    "an overlong encoding": b'{"prompt": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
    "the model twice": b'{"model": "a", "model": "b"}',
    "stream twice, once escaped": b'{"stream": false, "strea\\u006d": true}',
    "a key twice further in": b'{"messages": [{"role": "user", "role": "system"}]}',
    "a key twice, and a colon as an escape": b'{"a": 1, "a": 2, "b": "\\u003a"}',
    "a key twice, and a colon as an escape in capitals": b'{"a": 1, "a": 2, "b": "\\u003A"}',
    "a key twice, once an escape": b'{"a": 1, "\\u0061": "::"}',
    "an integer of 5,000 digits": b'{"seed": ' + b"9" * 5000 + b"}",
    "a trailing comma": b'{"a": 1,}',
    "two documents": b"{} {}",
    "a raw control character": b'{"prompt": "a\x00b"}',
    "single quotes": b"{'a': 1}",
    "half a document": b'{"model": "a"',
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_strict_json_is_told_so(name):
    error = refusal(NOT_JSON[name])

    assert (error.status, error.code, error.type) == (400, "invalid_json", "invalid_request_error")


@pytest.mark.parametrize("name", NOT_JSON)
def test_the_refusal_of_a_body_is_one_short_sentence(name):
    assert len(refusal(NOT_JSON[name]).message) < 300


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_document_or_a_client_error(body):
    assert isinstance(outcome(parse_document, body), dict | ClientError)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ).filter(lambda value: "\\ud" not in json.dumps(value).lower() or json.dumps(value, ensure_ascii=False).isascii())
)
def test_every_document_without_surrogates_is_read_as_it_was_written(value):
    assert parse_document(json.dumps({"value": value}, ensure_ascii=False).encode("utf-8", "replace")) is not None
    assert parse_document(json.dumps({"value": value}).encode()) == {"value": value}
    assert parse_document(json.dumps({"value": value}, separators=(",", ":")).encode()) == {"value": value}


VALUES = st.sampled_from(["1", '"a:b"', '":"', '"\\u003a"', '"\\""', '{"a": 1}', '{"a": {":": ":"}, "b": []}', "[]"])
MEMBERS = st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '":"', '"\\u0061"', '"\\u003a"']), VALUES), max_size=5)


@given(MEMBERS)
def test_an_object_is_taken_exactly_when_no_two_of_its_keys_are_the_same(members):
    names = {json.loads(name) for name, _ in members}
    for comma, colon in ((",", ":"), (", ", ": ")):
        body = "{" + comma.join(f"{name}{colon}{value}" for name, value in members) + "}"
        result = outcome(parse_document, body.encode())

        assert isinstance(result, dict) is (len(names) == len(members))
        assert result == json.loads(body) or isinstance(result, ClientError)


def arrays(depth):
    """An object inside which `depth - 1` arrays stand, written with a blank."""
    return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def plain_arrays(depth):
    return arrays(depth).replace(b" ", b"")


def plain_objects(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


each_kind = pytest.mark.parametrize("nested", [arrays, plain_arrays, plain_objects])


@each_kind
def test_a_document_may_be_as_deep_as_the_limit(nested):
    assert parse_document(nested(MAX_DEPTH))


@each_kind
def test_one_level_more_is_too_deep(nested):
    with pytest.raises(ClientError, match="deep"):
        parse_document(nested(MAX_DEPTH + 1))


@each_kind
def test_every_depth_up_to_the_interpreters_limit_is_judged_by_us_and_not_by_an_exception(nested):
    for depth in range(MAX_DEPTH + 1, sys.getrecursionlimit() + 50, 7):
        with pytest.raises(ClientError):
            parse_document(nested(depth))


def test_many_brackets_side_by_side_are_not_deep():
    assert parse_document(b'{"a": [' + b",".join([b"[]"] * 5000) + b"]}")


def test_an_emoji_as_a_surrogate_pair_is_whole():
    assert parse_document(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


# Fields


@pytest.mark.parametrize("value", [1, 1.5, True, [], ["a"], {}, {"id": "a"}])
def test_a_model_that_is_no_string_is_an_invalid_request(value):
    error = refusal(dumped(model=value))

    assert (error.status, error.code, error.param) == (400, "invalid_request", "model")


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_a_stream_flag_that_is_no_flag_is_an_invalid_request(value):
    error = refusal(dumped(stream=value))

    assert (error.status, error.code, error.param) == (400, "invalid_request", "stream")


def test_null_stands_for_a_field_that_is_missing():
    request = parse(dumped(model=None, stream=None))

    assert (request.model, request.stream) == ("", False)


def test_a_model_name_may_be_as_long_as_the_limit():
    assert parse(dumped(model="m" * MAX_MODEL)).model == "m" * MAX_MODEL


def test_a_longer_model_name_is_refused():
    assert refusal(dumped(model="m" * (MAX_MODEL + 1))).param == "model"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"tools": []}, False),
        ({"tools": [{"type": "function"}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tool_choice": "auto"}, False),
    ],
)
def test_a_request_has_tools_when_it_offers_some(fields, expected):
    assert parse(dumped(**fields)).tools is expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, False),
        ({}, False),
        ({"include_usage": False}, False),
        ({"include_usage": True}, True),
        ("include_usage", False),
        ([], False),
    ],
)
def test_usage_is_wanted_when_the_stream_options_say_so(options, expected):
    assert parse(dumped(stream=True, stream_options=options)).wants_usage is expected


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background"])
def test_a_response_that_continues_state_is_pinned_to_its_provider(field):
    assert parse(dumped(**{field: "x"}), Operation.RESPONSES).pinned


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background"])
def test_the_same_field_pins_no_chat(field):
    assert not parse(dumped(**{field: "x"})).pinned


def test_a_response_without_state_is_not_pinned():
    assert not parse(dumped(background=False, previous_response_id=None), Operation.RESPONSES).pinned


def test_the_body_and_the_path_are_kept_and_the_query_is_not():
    request = parse(b'{"model":  "a"}')

    assert (request.body, request.path, request.received) == (b'{"model":  "a"}', "/v1/chat/completions", 5.0)


# Content types


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"]
)
def test_another_content_type_than_json_is_refused_with_415(kind):
    assert (refusal(content_type=kind).status, refusal(content_type=kind).code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y", ""])
def test_json_is_taken_however_it_is_spelled(kind):
    assert parse(content_type=kind).document == {}


@pytest.mark.parametrize("kind", ["application/json", "multipart/mixed; boundary=x", ""])
def test_an_upload_that_is_no_form_is_refused_with_415(kind):
    assert refusal(operation=Operation.TRANSCRIPTIONS, content_type=kind).status == 415


@pytest.mark.parametrize("kind", ["application/json; x=\udcff", "application/json; x=é", "application/json; x=\x01"])
def test_a_content_type_that_could_not_be_passed_on_is_refused(kind):
    """It is written into the call to every provider, where it would look like their failure."""
    assert refusal(content_type=kind).status == 415


# Uploads

FILE = b'Content-Disposition: form-data; name="file"; filename="a; name=model; .mp3"\r\n\r\n\x00\xff--'


def form(*parts, boundary=b"b0undary"):
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def field(name, value):
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name, value)


def uploaded(body, content_type="multipart/form-data; boundary=b0undary"):
    return parse(body, Operation.TRANSCRIPTIONS, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        form(field(b"model", b"whisper-1"), FILE),
        form(FILE, field(b"model", b"whisper-1")),
        form(FILE, field(b"model", b" whisper-1 ")),
        b"preamble\r\n" + form(field(b"language", b"en"), field(b"model", b"whisper-1")),
        form(b"content-disposition:form-data;name=model\r\n\r\nwhisper-1"),
        form(b'Content-Type: text/plain\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1'),
    ],
)
def test_the_model_of_an_upload_is_found_wherever_it_stands(body):
    assert uploaded(body).model == "whisper-1"


@pytest.mark.parametrize(
    "content_type", ['multipart/form-data; boundary="b0undary"', "Multipart/Form-Data; charset=x; Boundary=b0undary"]
)
def test_the_boundary_of_an_upload_is_found_however_it_is_spelled(content_type):
    assert uploaded(form(FILE, field(b"model", b"whisper-1")), content_type).model == "whisper-1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b0undary",
        b"--b0undary--",
        form(FILE),
        form(field(b"models", b"x")),
        form(field(b"model", b"")),
        form(b"no headers at all"),
    ],
)
def test_an_upload_without_a_model_names_none(body):
    assert uploaded(body).model == ""


def test_a_file_that_is_called_model_is_no_model():
    part = b'Content-Disposition: form-data; name="file"; filename="model"\r\n\r\nwhisper-1'

    assert uploaded(form(part)).model == ""


def test_the_bytes_of_an_upload_are_kept_and_its_document_is_empty():
    body = form(FILE, field(b"model", b"whisper-1"))

    assert (uploaded(body).body, uploaded(body).document) == (body, {})


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 71],
)
def test_an_upload_without_a_usable_boundary_is_an_invalid_request(content_type):
    error = refusal(form(FILE), Operation.TRANSCRIPTIONS, content_type=content_type)

    assert (error.status, error.code) == (400, "invalid_request")


@given(st.binary(max_size=300), st.text(st.characters(codec="latin-1"), max_size=40))
def test_arbitrary_uploads_are_taken_or_are_client_errors(body, boundary):
    inner = form(b'Content-Disposition: form-data; name="model"\r\nContent-Type: multipart/mixed\r\n\r\n' + body)
    for content_type in (f"multipart/form-data; boundary={boundary}", "multipart/form-data; boundary=b0undary"):
        assert isinstance(outcome(uploaded, inner + body, content_type), Request | ClientError)


# Headers


@pytest.mark.parametrize(("value", "seconds"), [("2", 2.0), ("0.5", 0.5), ("1e1", 10.0)])
def test_a_timeout_is_read_as_seconds(value, seconds):
    assert parse(x_sidestep_timeout=value).timeout == seconds


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "-inf", "soon", "1s", "0x10", "1_0", "\u0661"])
def test_a_timeout_that_is_no_positive_number_is_an_invalid_request(value):
    error = refusal(x_sidestep_timeout=value)

    assert (error.status, error.code, error.param) == (400, "invalid_request", "x-sidestep-timeout")


def test_no_timeout_is_none():
    assert parse().timeout is None


def test_the_preferred_provider_is_read_from_its_header():
    assert parse(x_sidestep_provider="p2").preferred == "p2"


@pytest.mark.parametrize("wanted", ["a", "req-1.2:3_4", "A" * 128])
def test_a_well_formed_request_id_is_kept(wanted):
    assert request_id(wanted, "made") == wanted


@pytest.mark.parametrize("wanted", ["", "a b", "a\n", "a\r\nx: y", "A" * 129, "é", "<script>", "a/b"])
def test_any_other_request_id_is_replaced(wanted):
    assert request_id(wanted, "made") == "made"


# Paths


@pytest.mark.parametrize("path", ENDPOINTS)
def test_an_endpoint_is_known_by_its_raw_path_whatever_its_query(path):
    assert operation_of(path + "?key=1") is ENDPOINTS[path]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/x/../chat/completions",
        "/v1/chat%2Fcompletions",
        "/V1/chat/completions",
        "http://host/v1/chat/completions",
        "*",
    ],
)
def test_a_path_that_only_resembles_an_endpoint_is_none(path):
    assert operation_of(path) is None
