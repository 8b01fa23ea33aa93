import json

import pytest
from dialect_cases import (
    DONE,
    JSON,
    KEY,
    STOP,
    a_provider,
    a_reader,
    a_request,
    a_stream_request,
    a_wire,
    chunk,
    cuttings,
    data,
    run,
)

from proxy.dialects import DIALECTS
from proxy.dialects.refusals import HOLD, LOST_STREAM
from proxy.errors import ErrorClass, Failure
from proxy.messages import Answer, Head, Operation, WireRequest

POLLINATIONS = DIALECTS["pollinations"]
UNSTORED = {"cache-control": "private, no-store"}
STREAM = Head(200, {"content-type": "text/event-stream"})
UNSTORED_STREAM = Head(200, {"content-type": "text/event-stream", **UNSTORED})
UNSTORED_JSON = Head(200, {"content-type": "application/json", **UNSTORED})
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def notice(ref: str) -> str:
    return f"Your balance is low. Please [top up](https://enter.pollinations.ai/top-up?ref={ref}) to go on."


LOW = notice("agent_low_balance")


def answer(content, usage=None, head=UNSTORED_JSON, **more):
    document = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": usage, **more}
    request = a_request()
    return POLLINATIONS.decode(request, a_wire(POLLINATIONS, request), head, json.dumps(document).encode())


def test_chat_is_posted_to_the_url_as_it_is():
    wire = a_wire(POLLINATIONS, a_request())
    assert (wire.method, wire.url, wire.headers["authorization"]) == (
        "POST",
        "https://text.test/openai",
        f"Bearer {KEY}",
    )
    assert wire.template == "/openai"


@pytest.mark.parametrize("operation", [o for o in Operation if o not in {Operation.CHAT, Operation.IMAGES}])
def test_other_operations_are_unsupported_and_unsent(operation):
    failure = POLLINATIONS.encode(a_request(operation), a_provider(), "m")
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.sent) == (ErrorClass.UNSUPPORTED, False)


@pytest.mark.parametrize(
    ("ref", "error_class"),
    [
        ("agent_low_balance", ErrorClass.QUOTA),
        ("agent_key_budget", ErrorClass.QUOTA),
        ("agent_quest", ErrorClass.QUOTA),
        ("agent_grant", ErrorClass.UNSUPPORTED),
    ],
)
def test_a_refusal_dressed_as_an_answer_is_a_failure(ref, error_class):
    failure = answer(notice(ref), ZEROS)
    assert isinstance(failure, Failure)
    assert failure.error_class is error_class


def test_all_three_signs_are_needed():
    assert isinstance(answer(LOW, ZEROS, head=JSON), Answer)
    assert isinstance(answer(LOW, {"prompt_tokens": 3, "completion_tokens": 4}), Answer)
    assert isinstance(answer("See https://enter.pollinations.ai/docs for more.", ZEROS), Answer)
    assert isinstance(answer(notice("agent_unheard_of"), ZEROS), Answer)


def test_a_lost_stream_is_a_soft_failure():
    failure = answer(LOST_STREAM, head=JSON)
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.SOFT_FAILURE


def test_created_in_milliseconds_becomes_seconds():
    result = answer("Hi", head=JSON, created=1_767_225_600_123)
    assert isinstance(result, Answer)
    assert json.loads(result.body)["created"] == 1_767_225_600


def test_a_good_answer_and_its_advert_pass_unchanged():
    document = {"created": 1_767_225_600, "choices": [{"message": {"content": "Hi\n\nad"}, "finish_reason": "stop"}]}
    raw = json.dumps(document, indent=2).encode()
    result = POLLINATIONS.decode(a_request(), a_wire(POLLINATIONS, a_request()), JSON, raw)
    assert isinstance(result, Answer)
    assert result.body == raw


def words(text: str) -> bytes:
    return data(*[chunk({"content": text[at : at + 9]}) for at in range(0, len(text), 9)])


def read(stream, head=UNSTORED_STREAM):
    return run(a_reader(POLLINATIONS, a_stream_request(), head), [stream])


def test_a_streamed_refusal_is_never_seen_however_it_is_cut():
    stream = data(chunk({"content": LOW}), STOP, {"choices": [], "usage": ZEROS}, DONE)
    for pieces in cuttings(stream):
        fed = run(a_reader(POLLINATIONS, a_stream_request(), UNSTORED_STREAM), pieces)
        assert fed.failure is not None
        assert fed.failure.error_class is ErrorClass.QUOTA
        assert not fed.output
        assert b"balance" not in fed.forward


def test_a_streamed_refusal_without_usage_is_one_too():
    assert read(words(LOW) + data(STOP, DONE)).failure is not None


def test_a_real_answer_that_is_not_stored_is_let_go_when_it_is_long_enough():
    reader = a_reader(POLLINATIONS, a_stream_request(), UNSTORED_STREAM)
    held = reader.feed(words("x" * (HOLD - 9)))
    assert (held.forward, held.output) == (b"", False)
    let_go = reader.feed(words("x" * 9))
    assert let_go.output
    assert let_go.forward == words("x" * (HOLD - 9)) + words("x" * 9)


def test_a_real_answer_that_names_the_link_is_released_by_its_usage():
    stream = words(LOW) + data(STOP, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}, DONE)
    fed = read(stream)
    assert (fed.ended, fed.forward) == (True, stream)


def test_once_let_go_a_stream_flows():
    reader = a_reader(POLLINATIONS, a_stream_request(), STREAM)
    reader.feed(words("Hi"))
    assert reader.feed(words("Streaming")).forward == words("Streaming")


def test_once_let_go_its_text_is_no_longer_kept():
    reader = a_reader(POLLINATIONS, a_stream_request(), STREAM)
    reader.feed(words("Hi, how are you?"))
    assert reader._inner.text == ""


def test_the_preamble_passes_before_anything_is_said():
    assert a_reader(POLLINATIONS, a_stream_request(), UNSTORED_STREAM).feed(b": ping\n\n").forward == b": ping\n\n"


def test_a_short_answer_that_is_not_stored_passes_at_its_end():
    stream = words("Hi there") + data(STOP, DONE)
    fed = read(stream)
    assert (fed.ended, fed.output, fed.forward) == (True, True, stream)


@pytest.mark.parametrize("delta", [{"reasoning_content": "Hm"}, {"tool_calls": [{"function": {"name": "f"}}]}])
def test_what_no_refusal_has_is_let_go_at_once(delta):
    assert a_reader(POLLINATIONS, a_stream_request(), UNSTORED_STREAM).feed(data(chunk(delta))).output


def test_a_stored_stream_is_not_held_back():
    fed = a_reader(POLLINATIONS, a_stream_request(), STREAM).feed(words("Hi"))
    assert (fed.forward, fed.output) == (words("Hi"), True)


def test_a_lost_stream_in_pieces_is_a_soft_failure():
    fed = read(words(LOST_STREAM) + data(STOP, DONE), STREAM)
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.SOFT_FAILURE
    assert fed.forward == b""


def test_an_answer_that_begins_like_a_lost_stream_is_let_go_when_it_differs():
    reader = a_reader(POLLINATIONS, a_stream_request(), STREAM)
    assert not reader.feed(words("Streaming")).output
    fed = reader.feed(words(" rocks"))
    assert fed.output
    assert fed.forward == words("Streaming") + words(" rocks")


def test_a_break_while_held_back_shows_nothing():
    fed = read(words("Hi"))
    assert fed.failure is not None
    assert (fed.failure.error_class, fed.forward, fed.output) == (ErrorClass.BROKEN, b"", False)


def test_done_appended_to_a_truncated_stream_is_seen_through():
    fed = read(words("Hi") + data(DONE), STREAM)
    assert fed.failure is not None
    assert fed.failure.error_class is ErrorClass.BROKEN


@pytest.mark.parametrize(("keep_text", "text"), [(True, "Hi"), (False, "")])
def test_text_is_told_only_on_demand(keep_text, text):
    reader = a_reader(POLLINATIONS, a_stream_request(), STREAM, keep_text=keep_text)
    run(reader, [words("Hi") + data(STOP, DONE)])
    assert reader.text == text
    assert reader.facts.finish_reasons == ("stop",)


def test_a_plain_reply_to_a_stream_request_has_no_reader():
    request = a_stream_request()
    wire = POLLINATIONS.encode(request, a_provider(), "m")
    assert isinstance(wire, WireRequest)
    assert POLLINATIONS.reader(request, wire, JSON) is None
