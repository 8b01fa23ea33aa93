import json

import pytest
from dialect_cases import JSON, a_request, a_stream_request, a_wire
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects import DIALECTS
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Head, Operation

HTML = Head(200, {"content-type": "text/html; charset=utf-8"})


def decode(body, operation=Operation.CHAT, head=JSON, dialect="openai", request=None):
    request = request or a_request(operation)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECTS[dialect].decode(request, a_wire(DIALECTS["openai"], request), head, raw)


def chat(message=None, finish="stop", **more):
    choice = {"index": 0, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish}
    return {"id": "c1", "model": "m-dated", "choices": [choice], **more}


SPENT = {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 10}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

SAID = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]

GOOD = [
    (Operation.CHAT, chat({"content": "Hi"})),
    (Operation.CHAT, chat({"content": "Hi"}, finish=None)),
    (Operation.CHAT, chat({"content": "Hi"}, error=None, usage={"total_tokens": 0})),
    (Operation.CHAT, chat({"content": None, "tool_calls": [CALL]}, "tool_calls")),
    (Operation.CHAT, chat({"content": None, "refusal": "No."})),
    (Operation.CHAT, chat({"content": "", "reasoning_content": "Hm"})),
    (Operation.CHAT, chat({"content": None, "audio": {"id": "a", "data": "AA"}})),
    (Operation.CHAT, chat({"content": "", "images": [{"image_url": {"url": "data:x"}}]})),
    (Operation.CHAT, chat({"content": [{"type": "text", "text": "Hi"}]})),
    (Operation.CHAT, chat({"content": ""}, "length", usage=SPENT)),
    (Operation.COMPLETIONS, {"choices": [{"text": "Hi", "finish_reason": "stop"}]}),
    (Operation.EMBEDDINGS, {"data": [{"index": 0, "embedding": [0.1]}]}),
    (Operation.IMAGES, {"created": 1, "data": [{"b64_json": "AA"}]}),
    (Operation.IMAGES, {"created": 1, "data": [{"url": "https://x"}]}),
    (Operation.MODERATIONS, {"results": [{"flagged": False}]}),
    (Operation.RESPONSES, {"status": "completed", "error": None, "output": SAID}),
    (Operation.RESPONSES, {"status": "completed", "output": [{"type": "function_call", "name": "f", "arguments": ""}]}),
    (Operation.RESPONSES, {"status": "queued", "output": []}),
    (Operation.RESPONSES, {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
    (Operation.TRANSCRIPTIONS, {"text": ""}),
]


@pytest.mark.parametrize(("operation", "body"), GOOD)
def test_a_good_answer_passes_unchanged(operation, body):
    raw = b"\n\n \n" + json.dumps(body, indent=1).encode()  # DeepSeek keeps the line alive with blank lines
    answer = decode(raw, operation)
    assert isinstance(answer, Answer)
    assert answer.body == raw


BAD = [
    (Operation.CHAT, {"error": {"message": "odd"}}, "soft_failure"),
    (Operation.CHAT, {"error": "odd", "choices": []}, "soft_failure"),
    (Operation.CHAT, [{"error": {"message": "odd"}}], "soft_failure"),
    (Operation.CHAT, {"error": {"message": "slow", "code": 429}}, "rate_limited"),
    (Operation.CHAT, {"error": {"message": "x", "code": "502"}}, "overloaded"),
    (Operation.CHAT, {"error": {"message": "x", "type": "server_error"}}, "server_error"),
    (Operation.CHAT, {"error": {"message": "x", "code": "context_length_exceeded"}}, "context_length"),
    (Operation.CHAT, {"object": "error", "message": "x", "type": "BadRequestError"}, "invalid_request"),
    (Operation.CHAT, {}, "soft_failure"),
    (Operation.CHAT, None, "soft_failure"),
    (Operation.CHAT, ["Hi"], "soft_failure"),
    (Operation.CHAT, {"choices": None}, "soft_failure"),
    (Operation.CHAT, {"choices": []}, "soft_failure"),
    (Operation.CHAT, chat({"content": ""}), "soft_failure"),
    (Operation.CHAT, chat({"content": None}, None), "soft_failure"),
    (Operation.CHAT, chat({"content": [{"type": "text", "text": ""}]}), "soft_failure"),
    (Operation.CHAT, chat({"content": None, "tool_calls": []}, "tool_calls"), "soft_failure"),
    (Operation.CHAT, chat({"content": ""}, "length", usage={"completion_tokens": 0}), "soft_failure"),
    (Operation.CHAT, chat({"content": ""}, "content_filter"), "content_policy"),
    (Operation.CHAT, chat({"content": "partial"}, "error"), "server_error"),
    (Operation.CHAT, chat({"content": "partial"}, "insufficient_system_resource"), "overloaded"),
    (Operation.CHAT, {"choices": [{"error": {"code": 429}, "message": {"content": "p"}}]}, "rate_limited"),
    (Operation.COMPLETIONS, {"choices": [{"text": "", "finish_reason": "stop"}]}, "soft_failure"),
    (Operation.EMBEDDINGS, {"data": []}, "soft_failure"),
    (Operation.IMAGES, {"data": [{"b64_json": ""}]}, "soft_failure"),
    (Operation.MODERATIONS, {"results": None}, "soft_failure"),
    (Operation.RESPONSES, {"status": "failed", "error": {"code": "server_error", "message": "x"}}, "server_error"),
    (Operation.RESPONSES, {"status": "failed", "error": None}, "server_error"),
    (Operation.RESPONSES, {"status": "cancelled"}, "server_error"),
    (Operation.RESPONSES, {"status": "completed", "output": []}, "soft_failure"),
    (Operation.RESPONSES, {"incomplete_details": {"reason": "content_filter"}}, "content_policy"),
    (Operation.CHAT, b"", "soft_failure"),
    (Operation.CHAT, b" \n\n", "soft_failure"),
    (Operation.CHAT, b'{"choices": [', "broken"),
    (Operation.CHAT, b"not json", "broken"),
    (Operation.CHAT, b"[" * 100_000, "broken"),
    (Operation.TRANSCRIPTIONS, {"error": {"message": "x", "code": 503}}, "overloaded"),
    (Operation.SPEECH, {"text": "no audio"}, "soft_failure"),
]


@pytest.mark.parametrize(("operation", "body", "error_class"), BAD)
def test_what_is_no_answer_is_a_failure(operation, body, error_class):
    failure = decode(body, operation)
    assert isinstance(failure, Failure)
    assert failure.error_class == error_class


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.SPEECH, Operation.TRANSCRIPTIONS])
def test_a_page_is_a_soft_failure(operation):
    failure = decode(b"<html>hello</html>", operation, HTML)
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_a_verdict_inside_a_200_is_not_told_as_200():
    failure = decode({"error": {"message": "x", "code": "context_length_exceeded"}})
    assert isinstance(failure, Failure)
    assert failure.status is None
    assert failure.body is not None


def test_a_stream_that_was_not_asked_for_is_a_soft_failure():
    failure = decode(b"data: {}\n\n", head=Head(200, {"content-type": "text/event-stream"}))
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_a_plain_answer_to_a_stream_request_is_a_soft_failure():
    request = a_stream_request()
    assert DIALECTS["openai"].reader(request, a_wire(DIALECTS["openai"], request), JSON) is None
    failure = decode(chat({"content": "Hi"}), request=request)
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_an_error_under_a_stream_request_keeps_its_class():
    failure = decode({"error": {"code": 429, "message": "x"}}, request=a_stream_request())
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.RATE_LIMITED


def test_audio_passes_with_its_own_type():
    answer = decode(b"ID3\x00", Operation.SPEECH, Head(200, {"content-type": "audio/mpeg"}))
    assert isinstance(answer, Answer)
    assert (answer.body, answer.content_type) == (b"ID3\x00", "audio/mpeg")


@pytest.mark.parametrize("body", [b"", b"sorry"])
def test_words_instead_of_audio_are_a_soft_failure(body):
    failure = decode(body, Operation.SPEECH, Head(200, {"content-type": "text/plain"}))
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_a_transcript_in_words_passes():
    assert isinstance(decode(b"WEBVTT\n", Operation.TRANSCRIPTIONS, Head(200, {"content-type": "text/vtt"})), Answer)


def test_the_facts_are_told():
    usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}, **SPENT}
    answer = decode(chat({"content": "Hi"}, usage=usage))
    assert isinstance(answer, Answer)
    facts = answer.facts
    assert (facts.id, facts.model, facts.finish_reasons) == ("c1", "m-dated", ("stop",))
    assert (facts.input_tokens, facts.output_tokens, facts.cached_tokens, facts.reasoning_tokens) == (9, 10, 4, 10)


def test_tokens_that_were_not_told_are_unknown():
    answer = decode(chat({"content": "Hi"}, usage={"prompt_tokens": "9", "completion_tokens": True}))
    assert isinstance(answer, Answer)
    assert (answer.facts.input_tokens, answer.facts.output_tokens) == (None, None)


def test_a_hit_in_openrouters_cache_reports_no_tokens_and_is_good():
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert isinstance(decode(chat({"content": "Hi"}, usage=usage), dialect="openrouter"), Answer)


media_types = st.sampled_from(["application/json", "text/html", "text/plain", "image/png", "audio/mpeg", ""])
bodies = st.binary(max_size=40) | st.sampled_from(
    [b"{}", b"null", b'{"error":1}', b'{"choices":[{}]}', b'"x"', b"[[]]"]
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([each for each in Operation if each is not Operation.OTHER]), media_types, bodies)
def test_no_body_raises(operation, media_type, body):
    for name in DIALECTS:
        result = decode(body, operation, Head(200, {"content-type": media_type}), name)
        assert isinstance(result, Answer | Failure)
