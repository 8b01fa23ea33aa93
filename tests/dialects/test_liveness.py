"""What a provider is asked when nobody asks it anything, and which answers prove that it is alive."""

import json

import pytest
from dialect_cases import JSON, KEY, a_provider

from proxy.config.snapshot import Expectation, ProviderHealth
from proxy.dialects import DIALECTS
from proxy.dialects.check import Check, check_of, judge_check
from proxy.errors import ErrorClass
from proxy.messages import Head

LIST = b'{"object":"list","data":[{"id":"m"}]}'


def asked(dialect="openai", capability="chat", *, health=None, **provider):
    """The provider, and the check of one of its endpoints."""
    settings = a_provider(dialect=dialect, health=ProviderHealth(**(health or {})), **provider)
    check = check_of(DIALECTS[dialect], settings, capability)
    assert isinstance(check, Check)
    return settings, check


def judged(body, head=JSON, dialect="openai", **changes):
    provider, check = asked(dialect, **changes)
    return judge_check(DIALECTS[dialect], provider, check, head, body)


def completion(**message):
    choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": "length"}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()


@pytest.mark.parametrize(
    ("dialect", "provider", "capability", "url"),
    [
        ("openai", {}, "chat", "https://host.test/v1/models"),
        ("openai", {"api_key": None}, "chat", "https://host.test/v1/models"),
        ("openrouter", {}, "chat", "https://host.test/v1/key"),
        ("openrouter", {"api_key": None}, "chat", "https://host.test/v1/models"),
        ("pollinations", {}, "chat", "https://text.test/models"),
        ("pollinations", {}, "images", "https://image.test/models"),
        ("pollinations", {"text_url": "https://gen.test/v1/chat/completions"}, "chat", "https://gen.test/v1/models"),
        ("openai", {"health": {"path": "/health?full=1"}}, "chat", "https://host.test/health?full=1"),
        ("pollinations", {"health": {"path": "/up"}}, "images", "https://image.test/up"),
    ],
)
def test_a_check_is_a_get_that_costs_nothing(dialect, provider, capability, url):
    _, check = asked(dialect, capability, **provider)
    assert (check.wire.method, check.wire.url, check.wire.body) == ("GET", url, None)


def test_a_check_travels_with_the_headers_of_a_real_call():
    _, check = asked(headers={"X-Title": "app"})
    assert check.wire.headers["authorization"] == f"Bearer {KEY}"
    assert check.wire.headers["x-title"] == "app"
    assert check.wire.headers["accept-encoding"] == "identity"


def test_a_check_proves_the_key_only_where_the_key_is_looked_at():
    assert asked("openai")[1].proves_key
    assert asked("openrouter")[1].proves_key
    assert not asked("openrouter", api_key=None)[1].proves_key
    assert not asked("pollinations")[1].proves_key


@pytest.mark.parametrize("body", [LIST, b"[]", b'[{"name":"openai"}]', b'{"data":{"label":"k","limit":null}}'])
@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_list_or_what_is_known_of_the_key_proves_life(dialect, body):
    assert judged(body, dialect=dialect) is None


@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b'"ok"', b"null", b'{"data":[', b"[" * 100_000])
def test_a_200_that_is_no_list_and_no_object_proves_nothing(body):
    failure = judged(body)
    assert failure is not None
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_an_error_under_200_is_that_error():
    failure = judged(b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}')
    assert failure is not None
    assert failure.error_class is ErrorClass.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(401, ErrorClass.AUTH), (429, ErrorClass.RATE_LIMITED), (500, ErrorClass.SERVER_ERROR), (503, "overloaded")],
)
def test_an_error_status_is_classified_like_any_other(status, error_class):
    failure = judged(b"{}", Head(status, {}))
    assert failure is not None
    assert failure.error_class == error_class


def test_the_configured_status_is_the_one_that_counts():
    health = {"path": "/up", "expect": Expectation(status=204)}
    assert judged(b"", Head(204, {}), health=health) is None
    other = judged(b"", Head(200, {}), health=health)
    assert other is not None
    assert other.error_class is ErrorClass.SOFT_FAILURE


def test_even_a_refusal_can_be_what_is_expected():
    assert judged(b"no", Head(401, {}), health={"path": "/up", "expect": Expectation(status=401)}) is None


def test_the_configured_text_must_stand_in_the_body():
    health = {"expect": Expectation(contains="gpt-4o")}
    assert judged(b'{"data":[{"id":"gpt-4o"}]}', health=health) is None
    assert judged(LIST, health=health) is not None


def test_a_configured_path_may_answer_in_any_form():
    assert judged(b"OK", Head(200, {"content-type": "text/plain"}), health={"path": "/health"}) is None


def test_a_completion_is_asked_for_only_where_its_cost_is_allowed():
    _, check = asked(health={"allow_cost": True, "model": "tiny"})
    sent = json.loads(check.wire.body)
    assert (check.wire.method, check.wire.url) == ("POST", "https://host.test/v1/chat/completions")
    assert (sent["model"], sent["max_tokens"]) == ("tiny", 16)
    assert asked(models={"default": "theirs"}, health={"allow_cost": True})[1].wire.model == "theirs"


def test_no_image_is_ever_bought():
    _, check = asked("pollinations", "images", health={"allow_cost": True, "model": "m"})
    assert check.wire.url == "https://image.test/models"


@pytest.mark.parametrize("message", [{"content": "Hello"}, {"reasoning": "The user wants"}, {"refusal": "no"}])
def test_any_output_proves_life(message):
    assert judged(completion(**message), health={"allow_cost": True, "model": "m"}) is None


@pytest.mark.parametrize("message", [{}, {"content": ""}])
def test_a_completion_without_any_output_proves_nothing(message):
    failure = judged(completion(**message), health={"allow_cost": True, "model": "m"})
    assert failure is not None
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_reasoning_that_is_only_counted_proves_life_too():
    body = json.loads(completion()) | {"usage": {"prompt_tokens": 4, "completion_tokens": 16, "total_tokens": 20}}
    assert judged(json.dumps(body).encode(), health={"allow_cost": True, "model": "m"}) is None


def test_a_completion_that_is_refused_is_classified_like_any_other():
    failure = judged(
        b'{"error":{"code":"insufficient_quota"}}', Head(429, {}), health={"allow_cost": True, "model": "m"}
    )
    assert failure is not None
    assert failure.error_class is ErrorClass.QUOTA
