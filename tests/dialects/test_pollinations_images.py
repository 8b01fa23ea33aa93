import json
from base64 import b64decode
from io import BytesIO
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from dialect_cases import KEY, a_provider, a_request, a_wire
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from proxy.dialects import DIALECTS
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Expect, Head, Operation, Request, WireRequest

POLLINATIONS = DIALECTS["pollinations"]
JPEG_HEAD = Head(200, {"content-type": "image/jpeg", "date": "Thu, 01 Jan 2026 00:00:00 GMT", "x-model-used": "flux"})


def picture(size: tuple[int, int] = (64, 64), kind: str = "JPEG") -> bytes:
    out = BytesIO()
    Image.effect_noise(size, 50).save(out, kind)
    return out.getvalue()


JPEG = picture()


def a_wish(prompt: object = "a cat", **fields: object) -> Request:
    return a_request(Operation.IMAGES, {"prompt": prompt, **fields})


def encode(request: Request, model: str = "flux") -> WireRequest | Failure:
    return POLLINATIONS.encode(request, a_provider(), model)


def query(request: Request, model: str = "flux") -> dict[str, str]:
    wire = encode(request, model)
    assert isinstance(wire, WireRequest)
    return {name: values[0] for name, values in parse_qs(urlsplit(wire.url).query).items()}


def decode(body: bytes, head: Head = JPEG_HEAD, request: Request | None = None) -> Answer | Failure:
    request = request or a_wish()
    return POLLINATIONS.decode(request, a_wire(POLLINATIONS, request), head, body)


def test_the_wish_becomes_a_get():
    wire = encode(a_wish("a cat & a dog?", size="512x768", seed=7))
    assert isinstance(wire, WireRequest)
    assert (wire.method, wire.body, wire.expect, wire.template) == ("GET", None, Expect.IMAGE, "/prompt/{prompt}")
    assert wire.url == (
        "https://image.test/prompt/a%20cat%20%26%20a%20dog%3F"
        "?width=512&height=768&seed=7&model=flux&nologo=true&private=true"
    )


def test_the_key_is_a_header_and_never_in_the_url():
    wire = encode(a_wish())
    assert isinstance(wire, WireRequest)
    assert wire.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in wire.url


@settings(max_examples=200, deadline=None)
@given(
    st.text(min_size=1, max_size=40)
    | st.sampled_from([".", "..", "../../admin", "%2e%2e", "a/b?c#d", "\r\nHost: x", "\ud800"])
)
def test_any_prompt_stays_one_path_segment(prompt):
    wire = encode(a_wish(prompt))
    if not prompt.strip():
        assert isinstance(wire, Failure)
        return
    assert isinstance(wire, WireRequest)
    path, _, _ = wire.url.removeprefix("https://image.test/prompt/").partition("?")
    assert wire.url.isascii()
    assert "/" not in path
    assert unquote(path) not in {".", ".."}
    assert unquote(path).rstrip() == prompt.encode("utf-8", "replace").decode().rstrip()


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": None},
        {"prompt": ""},
        {"prompt": "  "},
        {"prompt": ["a"]},
        {"n": 2},
        {"n": "1"},
        {"size": "big"},
        {"size": "0x10"},
        {"size": "10x"},
        {"size": 512},
        {"size": "999999x1"},
        {"response_format": "gif"},
        {"prompt": "x" * 9000},
        {"prompt": "漢" * 1000},
    ],
)
def test_what_cannot_be_asked_for_is_refused_unsent(fields):
    failure = encode(a_wish(**fields))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.status, failure.sent) == (ErrorClass.INVALID_REQUEST, 400, False)
    assert json.loads(failure.body or b"")["error"]["message"] == failure.message


@pytest.mark.parametrize("size", [None, "auto", ""])
def test_the_default_size_is_1024(size):
    asked = query(a_wish(size=size))
    assert (asked["width"], asked["height"]) == ("1024", "1024")


def test_a_repeat_is_the_same_url_and_another_request_is_not():
    first, again = encode(a_wish()), encode(a_wish())
    assert first == again
    other = a_request(Operation.IMAGES, {"prompt": "a cat"}, id="req-2")
    assert query(other)["seed"] != query(a_wish())["seed"]


@pytest.mark.parametrize("seed", [-1, 2**31, True, "x", None])
def test_a_seed_that_does_not_fix_the_picture_is_replaced(seed):
    assert query(a_wish(seed=seed))["seed"] == query(a_wish())["seed"]


def test_extras_pass_and_flags_only_when_on():
    asked = query(
        a_wish(
            negative_prompt="b&w",
            guidance_scale=7.5,
            enhance=True,
            safe=False,
            transparent="false",
            image="https://x/y.png",
        )
    )
    assert (asked["negative_prompt"], asked["guidance_scale"], asked["enhance"]) == ("b&w", "7.5", "true")
    assert asked["image"] == "https://x/y.png"
    assert not {"safe", "transparent"} & asked.keys()


@pytest.mark.parametrize(("given_", "asked"), [("hd", "hd"), ("standard", "medium"), ("auto", None), (None, None)])
def test_quality_is_translated(given_, asked):
    assert query(a_wish(quality=given_)).get("quality") == asked


def test_no_model_asks_for_the_servers_default():
    assert "model" not in query(a_wish(), "")


def test_the_picture_comes_back_in_openais_shape():
    answer = decode(JPEG)
    assert isinstance(answer, Answer)
    document = json.loads(answer.body)
    assert document["created"] == 1_767_225_600
    assert b64decode(document["data"][0]["b64_json"]) == JPEG
    assert answer.facts.model == "flux"


def test_a_url_is_the_generations_own_without_the_key():
    request = a_wish(response_format="url")
    answer = decode(JPEG, request=request)
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["data"] == [{"url": a_wire(POLLINATIONS, request).url}]
    assert KEY.encode() not in answer.body


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 01 Jan 1931 00:00:00 GMT"])
def test_without_a_date_created_is_zero(date):
    answer = decode(JPEG, Head(200, {"content-type": "image/jpeg", "date": date}))
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["created"] == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_bytes_decide_whatever_image_type_is_declared(kind):
    assert isinstance(decode(picture(kind=kind)), Answer)


def typed(content_type: str) -> Head:
    return Head(200, {"content-type": content_type})


@pytest.mark.parametrize(
    ("body", "head", "error_class"),
    [
        (b"", JPEG_HEAD, "soft_failure"),
        (b"<html>queue</html>", typed("text/html"), "soft_failure"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", typed("image/svg+xml"), "soft_failure"),
        (JPEG, typed("text/plain"), "soft_failure"),
        (b"not an image", JPEG_HEAD, "soft_failure"),
        (JPEG[:-100], JPEG_HEAD, "broken"),
        (picture(kind="PNG")[:-20], JPEG_HEAD, "broken"),
        (picture((1, 1), "PNG"), JPEG_HEAD, "soft_failure"),
        (picture((15, 400)), JPEG_HEAD, "soft_failure"),
        (b'{"error":"Queue full for IP: 1.2.3","status":429}', JPEG_HEAD, "rate_limited"),
        (b'{"error":"x"}', typed("application/json"), "soft_failure"),
        (b'{"message":"Content is prohibited"}', typed("application/json"), "content_policy"),
    ],
)
def test_what_is_no_picture_is_a_failure(body, head, error_class):
    failure = decode(body, head)
    assert isinstance(failure, Failure)
    assert failure.error_class == error_class


def test_an_image_request_never_has_a_reader():
    request = a_request(Operation.IMAGES, {"prompt": "x", "stream": True})
    assert POLLINATIONS.reader(request, a_wire(POLLINATIONS, request), typed("text/event-stream")) is None
