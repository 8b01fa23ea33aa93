import json
from typing import Any

import pytest
from dialect_cases import a_reader, a_stream_request, cuttings, run

from proxy.dialects import DIALECTS
from proxy.errors import ErrorClass
from proxy.messages import Operation

OPENAI = DIALECTS["openai"]


def typed(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


OUTPUT = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "model": "m", "status": "in_progress", "output": []},
}
DELTA = {"type": "response.output_text.delta", "delta": "Hi"}
COMPLETED = {
    "type": "response.completed",
    "response": {"id": "resp_1", "output": OUTPUT, "usage": {"output_tokens": 2}},
}
EMPTY = {"type": "response.completed", "response": {"output": []}}
PARTIAL = {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0}
PICTURE = {"type": "image_generation.completed", "b64_json": "AAAA", "usage": {"input_tokens": 4}}
HEARD = {"type": "transcript.text.delta", "delta": "a"}


def incomplete(reason):
    return {"type": "response.incomplete", "response": {"output": [], "incomplete_details": {"reason": reason}}}


GOOD = {
    "responses": (Operation.RESPONSES, typed(CREATED, DELTA, COMPLETED)),
    "responses without deltas": (Operation.RESPONSES, typed(CREATED, COMPLETED)),
    "responses cut by the token limit": (Operation.RESPONSES, typed(CREATED, incomplete("max_output_tokens"))),
    "image": (Operation.IMAGES, typed(PARTIAL, PICTURE)),
    "speech": (Operation.SPEECH, typed({"type": "speech.audio.delta", "audio": "AA"}, {"type": "speech.audio.done"})),
    "transcript": (Operation.TRANSCRIPTIONS, typed(HEARD, {"type": "transcript.text.done", "text": "a"})),
    "silence": (Operation.TRANSCRIPTIONS, typed({"type": "transcript.text.done", "text": ""})),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "stream"), GOOD.values(), ids=GOOD.keys())
def test_a_good_stream_passes_unchanged_however_it_is_cut(operation, stream):
    for pieces in cuttings(stream):
        fed = run(a_reader(OPENAI, a_stream_request(operation)), pieces)
        assert (fed.forward, fed.ended, fed.failure) == (stream, True, None)


FAILED = {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow"}}}
FLAT = {"type": "error", "code": "server_error", "message": "x", "param": None, "sequence_number": 3}
BAD = {
    "cut": (typed(CREATED, DELTA), ErrorClass.BROKEN),
    "[DONE] instead of the end": (typed(CREATED, DELTA) + b"data: [DONE]\n\n", ErrorClass.BROKEN),
    "failed": (typed(CREATED, FAILED), ErrorClass.RATE_LIMITED),
    "flat error": (typed(CREATED, FLAT), ErrorClass.SERVER_ERROR),
    "empty": (typed(CREATED, EMPTY), ErrorClass.SOFT_FAILURE),
    "filtered": (typed(CREATED, incomplete("content_filter")), ErrorClass.CONTENT_POLICY),
}


@pytest.mark.parametrize(("stream", "error_class"), BAD.values(), ids=BAD.keys())
def test_a_bad_stream_fails_the_same_however_it_is_cut(stream, error_class):
    for pieces in cuttings(stream):
        fed = run(a_reader(OPENAI, a_stream_request(Operation.RESPONSES)), pieces)
        assert fed.failure is not None
        assert fed.failure.error_class is error_class
        assert stream.startswith(fed.forward)
        assert b"failed" not in fed.forward


@pytest.mark.parametrize(
    ("event", "output"),
    [
        (CREATED, False),
        ({"type": "response.in_progress", "response": {}}, False),
        ({"type": "response.output_item.added", "item": {"type": "message", "content": []}}, False),
        ({"type": "response.output_text.delta", "delta": ""}, False),
        (DELTA, True),
        ({"type": "response.refusal.delta", "delta": "no"}, True),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, True),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, True),
        ({"type": "response.output_item.done", "item": {"type": "function_call", "name": "f"}}, True),
        ({"type": "response.image_generation_call.partial_image", "partial_image_b64": "AA"}, True),
    ],
)
def test_only_what_is_said_is_output(event, output):
    assert a_reader(OPENAI, a_stream_request(Operation.RESPONSES)).feed(typed(event)).output is output


def test_the_facts_are_those_of_the_response():
    reader = a_reader(OPENAI, a_stream_request(Operation.RESPONSES), keep_text=True)
    run(reader, [GOOD["responses"][1]])
    assert (reader.facts.id, reader.facts.model, reader.facts.output_tokens) == ("resp_1", "m", 2)
    assert reader.text == "Hi"


def test_two_pictures_end_with_the_second():
    reader = a_reader(OPENAI, a_stream_request(Operation.IMAGES, n=2))
    assert not reader.feed(typed(PICTURE)).ended
    assert reader.feed(typed(PICTURE)).ended


def test_a_stream_that_ends_after_fewer_pictures_is_an_answer():
    assert run(a_reader(OPENAI, a_stream_request(Operation.IMAGES, n=2)), [typed(PICTURE)]).ended
