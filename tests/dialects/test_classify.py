import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects import DIALECTS
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head

HTML = b"<!DOCTYPE html><html><head><title>502 Bad gateway</title></head></html>"


def fail(dialect: str, status: int, body: object = b"", **headers: str) -> Failure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECTS[dialect].failure(Head(status, headers), raw)


def openai_error(message="x", kind=None, code=None):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


RATE = "Rate limit reached for m on requests per min (RPM): Limit 3, Used 3. Please try again in 120ms."
TOO_LARGE = "Request too large for m on tokens per minute (TPM): Limit 6000, Requested 9000"
OLLAMA_BUSY = "server busy, please try again.  maximum pending requests exceeded"
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
LLAMA_CONTEXT = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}}
AZURE_FILTER = {"error": {"code": "content_filter", "message": "filtered", "param": "prompt", "status": 400}}
VLLM_CONTEXT = {"object": "error", "message": "maximum context length is 8192", "type": "BadRequestError", "code": 400}
MISTRAL_FULL = {"object": "error", "message": "full", "type": "service_tier_capacity_exceeded", "code": "3505"}
MISTRAL_DETAIL = {"object": "error", "message": {"detail": [{"msg": "Extra inputs", "loc": ["body"]}]}, "type": "x"}
FAULT = {"fault": {"faultstring": "bad path", "detail": {"errorcode": "x.y"}}}
XAI_KEY = {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"}
XAI_CREDITS = {"code": "forbidden", "error": "Your team t has used all available credits"}

OPENAI_CASES = [
    (401, openai_error("Incorrect API key", "invalid_request_error", "invalid_api_key"), "auth"),
    (401, {"message": "Unauthorized", "request_id": "1"}, "auth"),
    (401, {"error": "Unauthorized"}, "auth"),
    (401, {"statusCode": 401, "message": "Access denied"}, "auth"),
    (400, XAI_KEY, "auth"),
    (403, openai_error("Country not supported", "request_forbidden", "unsupported_country_region_territory"), "auth"),
    (403, HTML, "auth"),
    (403, openai_error("Input failed moderation"), "content_policy"),
    (403, XAI_CREDITS, "quota"),
    (402, openai_error("Insufficient Balance"), "quota"),
    (429, openai_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "quota"),
    (429, openai_error("No credit", "rate_limit_error", "credit_balance_exhausted"), "quota"),
    (412, {"error": {"message": "Account x is suspended"}}, "quota"),
    (429, openai_error(RATE, "requests", "rate_limit_exceeded"), "rate_limited"),
    (429, openai_error("Ramping too fast", "rate_limit_error", "slow_down"), "rate_limited"),
    (429, {"error": {"code": "429", "message": "Please retry after 26 seconds."}}, "rate_limited"),
    (429, b"", "rate_limited"),
    (429, openai_error(TOO_LARGE, "tokens", "rate_limit_exceeded"), "context_length"),
    (413, openai_error(TOO_LARGE, "tokens", "rate_limit_exceeded"), "context_length"),
    (429, {"error": {"code": "429", "message": "System is experiencing high demand"}}, "overloaded"),
    (429, MISTRAL_FULL, "overloaded"),
    (498, openai_error("busy", None, "capacity_exceeded"), "overloaded"),
    (498, {"message": "invalid token"}, "auth"),
    (503, openai_error("The engine is currently overloaded", "server_error"), "overloaded"),
    (503, openai_error("x", "service_unavailable_error", "server_is_overloaded"), "overloaded"),
    (503, openai_error(OLLAMA_BUSY, "api_error"), "overloaded"),
    (503, LOADING, "overloaded"),
    *[(status, HTML, "overloaded") for status in (502, 503, 504, 520, 522, 524, 529, 530)],
    (500, openai_error("oops", "server_error"), "server_error"),
    (501, b"", "server_error"),
    (408, b"", "server_error"),
    (409, b"", "server_error"),
    (424, b"", "server_error"),
    (425, b"", "server_error"),
    (302, b"", "server_error"),
    (400, openai_error("bad call", "invalid_request_error", "tool_use_failed"), "server_error"),
    (400, openai_error("x", "invalid_request_error", "context_length_exceeded"), "context_length"),
    (400, LLAMA_CONTEXT, "context_length"),
    (400, VLLM_CONTEXT, "context_length"),
    (403, {"error": "Input exceeds the context window"}, "context_length"),
    (404, openai_error("no model", "invalid_request_error", "model_not_found"), "unsupported"),
    (404, openai_error('model "x" not found, try pulling it first', "not_found_error"), "unsupported"),
    (404, b"404 page not found", "unsupported"),
    (404, {"error": {"code": "DeploymentNotFound", "message": "x"}}, "unsupported"),
    (400, openai_error("m does not support tools", "invalid_request_error"), "unsupported"),
    (400, AZURE_FILTER, "content_policy"),
    (400, openai_error("x", "image_generation_user_error", "moderation_blocked"), "content_policy"),
    (400, openai_error("Unknown parameter: 'x'", "invalid_request_error", "unknown_parameter"), "invalid_request"),
    (413, b"", "invalid_request"),
    (422, {"detail": [{"msg": "field required", "loc": ["body", "x"]}]}, "invalid_request"),
    (422, MISTRAL_DETAIL, "invalid_request"),
    (400, FAULT, "invalid_request"),
    (400, [{"error": {"code": 400, "message": "x", "status": "INVALID_ARGUMENT"}}], "invalid_request"),
    (418, b"\xff\x00", "invalid_request"),
]


@pytest.mark.parametrize(("status", "body", "error_class"), OPENAI_CASES)
def test_openai_compatible_errors_have_their_class(status, body, error_class):
    assert fail("openai", status, body).error_class == error_class


def routed(status, code=None, message="x", **fields):
    return status, {"error": {"code": code or status, "message": message, **fields}}


OPENROUTER_CASES = [
    (*routed(400, message="foo/bar is not a valid model ID"), "unsupported"),
    (*routed(401, message="No auth credentials found"), "auth"),
    (*routed(402, message="Insufficient credits"), "quota"),
    (*routed(402, metadata={"limit_source": "openrouter_in_flight_budget"}), "rate_limited"),
    (*routed(403, metadata={"reasons": ["violence"], "flagged_input": "x"}), "content_policy"),
    (*routed(403, metadata={"patterns": ["p"]}), "content_policy"),
    (*routed(403, message="Key limit exceeded"), "auth"),
    (*routed(404, message="No endpoints found for x"), "unsupported"),
    (*routed(408), "server_error"),
    (*routed(429, message="Rate limit exceeded: free-models-per-min"), "rate_limited"),
    (*routed(429, message="Provider returned error", metadata={"raw": "busy", "provider_name": "P"}), "rate_limited"),
    (*routed(500, metadata={"error_type": "server"}), "server_error"),
    (*routed(502, message="Provider returned error"), "overloaded"),
    (*routed(503), "overloaded"),
    (*routed(524), "overloaded"),
    (*routed(529), "overloaded"),
    (502, HTML, "overloaded"),
    (404, {"error": {"message": "x", "http_status": 404, "availability": {"code": "no_endpoints"}}}, "unsupported"),
    (403, {"error": {"message": "x", "availability": {"code": "region_restricted"}}}, "unsupported"),
    (429, {"error": {"message": "x", "availability": {"code": "capacity_exhausted"}}}, "rate_limited"),
    (400, {"error": {"message": "x", "error_type": "context_length_exceeded"}}, "context_length"),
    (400, {"error": {"code": 400, "message": "x", "metadata": {"error_type": "refusal"}}}, "content_policy"),
    (
        *routed(400, message="Provider returned error", metadata={"raw": '{"message":"maximum context length is 5"}'}),
        "context_length",
    ),
    (*routed(400, message="Provider returned error", metadata={"raw": {"message": "odd"}}), "invalid_request"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error_class"), OPENROUTER_CASES)
def test_openrouters_errors_have_their_class(status, body, error_class):
    assert fail("openrouter", status, body).error_class == error_class


def gen(status, code, message="x", **error):
    return status, {"success": False, "status": status, "error": {"code": code, "message": message, **error}}


TIER = "Model not found or tier not high enough. Your tier: anonymous, required tier: seed"
QUEUE = "Queue full for IP: 1.2.3: 5 requests already queued (max: 5)."
BLOCKED = "Your IP 1.2.3.4 has been temporarily blocked due to multiple content violations"
INTERNAL = "Internal Server Error"

POLLINATIONS_CASES = [
    (429, {"error": QUEUE, "status": 429}, "rate_limited"),
    (402, {"error": QUEUE, "status": 402}, "rate_limited"),
    (402, {"error": TIER, "status": 402}, "unsupported"),
    (404, {"error": "Model not found: X", "status": 404}, "unsupported"),
    (400, {"error": "Invalid messages array"}, "invalid_request"),
    (403, b"", "auth"),
    (403, {"error": "Forbidden", "status": 403, "details": {"blockedIp": "1.2.3.4"}}, "auth"),
    (*gen(429, "RATE_LIMITED", "Too many requests from this IP."), "rate_limited"),
    (429, {"error": "Rate limit exceeded", "message": "Retry after 12.34s."}, "rate_limited"),
    (429, {"error": "concurrency_limit_exceeded", "message": "one at a time"}, "rate_limited"),
    (*gen(402, "PAYMENT_REQUIRED"), "quota"),
    (*gen(402, "KEY_BUDGET_EXHAUSTED"), "quota"),
    (*gen(401, "UNAUTHORIZED"), "auth"),
    (*gen(400, "BAD_REQUEST", type="safety_error"), "content_policy"),
    (*gen(400, "BAD_REQUEST", details={"name": "ValidationError"}), "invalid_request"),
    (*gen(502, "BAD_GATEWAY", details={"upstreamStatus": 429}), "rate_limited"),
    (*gen(502, "BAD_GATEWAY", details={"upstreamStatus": 401}), "server_error"),
    (*gen(502, "BAD_GATEWAY", details={"upstreamStatus": 404}), "unsupported"),
    (*gen(502, "BAD_GATEWAY", details={"upstreamStatus": 418}), "overloaded"),
    (*gen(502, "BAD_GATEWAY"), "overloaded"),
    (502, b"Unable to reach the origin service.", "overloaded"),
    (530, b"error code: 1033", "overloaded"),
    (524, HTML, "overloaded"),
    (500, {"error": INTERNAL, "message": "Hourly limit reached for nanobanana"}, "rate_limited"),
    (500, {"error": INTERNAL, "message": "Content is prohibited"}, "content_policy"),
    (500, {"error": INTERNAL, "message": "NSFW content detected. x"}, "content_policy"),
    (500, {"error": INTERNAL, "message": BLOCKED}, "quota"),
    (500, {"error": INTERNAL, "message": "boom"}, "server_error"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error_class"), POLLINATIONS_CASES)
def test_pollinations_errors_have_their_class(status, body, error_class):
    assert fail("pollinations", status, body).error_class == error_class


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (openai_error("Please try again in 120ms."), 0.12),
        (openai_error("Please try again in 6m0s."), 360.0),
        (openai_error("Please try again in 1h2m3.5s."), 3723.5),
        (openai_error("Please retry after 26 seconds."), 26.0),
        ({"error": "Rate limit exceeded", "message": "x", "retryAfterSeconds": 12.34}, 12.34),
        ({"error": {"message": "x", "availability": {"code": "capacity_exhausted", "retry_after": 7}}}, 7.0),
        (openai_error("Sana is limited to one request per IP every 45 seconds. Retry after 31s."), 31.0),
        (openai_error("Please try again in a while."), None),
        ({"error": {"message": "x", "retry_after": -1}}, None),
        ({"error": {"message": "x", "retry_after": "soon"}}, None),
    ],
)
def test_the_wait_is_read_from_the_body(body, seconds):
    found = fail("openai", 429, body).retry_after
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_message_is_one_bounded_line():
    message = fail("openai", 500, openai_error("a\r\nb\x00\x1b[31m" + "x" * 1000)).message
    assert message.startswith("a b [31mxxx")
    assert len(message) == 500
    assert message.isprintable()


def test_what_looks_like_a_key_is_masked():
    message = fail("openai", 401, openai_error("Incorrect API key provided: sk-proj-abc123def456. Check it.")).message
    assert "abc123" not in message


@pytest.mark.parametrize("status", [400, 403, 500])
def test_only_a_verdict_on_the_request_keeps_the_body(status):
    body = json.dumps(openai_error()).encode()
    assert fail("openai", status, body).body == (body if status == 400 else None)


@pytest.mark.parametrize("body", [HTML, b"", b"plain words", b'{"error":{"message":"' + b"x" * 70_000 + b'"}}'])
def test_a_page_or_a_flood_is_not_passed_on(body):
    assert fail("openai", 400, body).body is None


def test_an_html_page_is_told_by_its_status():
    assert fail("openai", 502, HTML).message == "the provider answered 502"


def test_status_and_code_are_kept():
    failure = fail("openai", 429, openai_error("x", "requests", "rate_limit_exceeded"))
    assert (failure.status, failure.code, failure.sent) == (429, "rate_limit_exceeded", True)


def test_an_error_nested_a_hundred_thousand_deep_is_survived():
    assert fail("openai", 400, b'{"error":' * 100_000).error_class is ErrorClass.INVALID_REQUEST


KEYS = [
    "error",
    "message",
    "code",
    "type",
    "detail",
    "metadata",
    "raw",
    "details",
    "availability",
    "status",
    "fault",
    "retry_after",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(300, 599), st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_error_body_raises(status, body):
    for name in DIALECTS:
        failure = fail(name, status, body)
        assert failure.message
        assert failure.status == status
