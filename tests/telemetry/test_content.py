import json

import pytest
from lab import records

from proxy.messages import Operation
from proxy.telemetry.content import content, input_messages


def asked(document, operation=Operation.CHAT):
    return input_messages(records.request(document=document, operation=operation))


def test_chat_messages_become_roles_and_parts():
    assert asked({"messages": [{"role": "user", "content": "hi"}]}) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    ]


def test_images_are_named_and_never_copied():
    parts = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": "data:canary"}}]
    (message,) = asked({"messages": [{"role": "user", "content": parts}]})
    assert message["parts"] == [{"type": "text", "content": "what is it"}, {"type": "image_url"}]


def test_tool_calls_and_their_results_are_told():
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ]
    assert [message["parts"] for message in asked({"messages": messages})] == [
        [{"type": "tool_call", "id": "c1", "name": "add", "arguments": "{}"}],
        [{"type": "tool_call_response", "id": "c1", "result": "3"}],
    ]


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (Operation.IMAGES, {"prompt": "a cat"}),
        (Operation.COMPLETIONS, {"prompt": ["a cat"]}),
        (Operation.EMBEDDINGS, {"input": "a cat"}),
        (Operation.RESPONSES, {"input": [{"text": "a cat"}]}),
    ],
)
def test_other_operations_keep_their_words_elsewhere(operation, document):
    assert asked(document, operation) == [{"role": "user", "parts": [{"type": "text", "content": "a cat"}]}]


@pytest.mark.parametrize("messages", [None, "text", [1, None], {}])
def test_what_is_no_message_is_left_out(messages):
    assert asked({"messages": messages}) == []


def test_long_texts_and_long_talks_are_cut():
    (*_, last) = told = asked({"messages": [{"role": "user", "content": "x" * 100_000}] * 150})
    assert len(told) == 100
    assert len(last["parts"][0]["content"]) == 16 * 1024


def test_the_answer_and_the_stop_words_are_told():
    record = records.success(request=records.request(document={"stop": "END"}), captured_output="hello")
    told = content(record)
    assert told["gen_ai.request.stop_sequences"] == ("END",)
    assert json.loads(told["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}
    ]
