"""The judge is judged: every promise that a history breaks is found, and one that breaks none is let go."""

import json
from types import SimpleNamespace

import pytest
from lab.history import History, Inside, Page, Sent
from lab.http1 import Headers
from lab.invariants import violations

SSE = Headers([("Content-Type", "text/event-stream")])
JSON = Headers([("Content-Type", "application/json")])
CANARY = "canary-key-1"


def chunk(text="", reason=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def streamed(*events, nonce="q"):
    body = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
    return Sent(
        nonce,
        stream=True,
        begun=0.0,
        status=200,
        headers=SSE,
        body=body.encode(),
        complete=True,
        first_at=0.1,
        last_at=0.2,
        ended=0.3,
    )


def plain(text, status=200, nonce="q", **changes):
    document = {"choices": [{"message": {"content": text}}]} if status == 200 else text
    return Sent(
        nonce,
        stream=False,
        begun=0.0,
        status=status,
        headers=JSON,
        body=json.dumps(document).encode(),
        **{"complete": True, "ended": 0.1} | changes,
    )


WHOLE = [chunk("p1:1:0 "), chunk("p1:1:1 "), chunk("= q"), chunk(reason="stop"), "[DONE]"]
REFUSAL = {"error": {"message": "no", "type": "server_error", "code": "all_providers_failed"}}


def upstream(*questions):
    return SimpleNamespace(requests=[SimpleNamespace(question=question, at=at) for question, at in questions])


def inside(**changes):
    page = Page('# TYPE sidestep_requests_total counter\nsidestep_requests_total{outcome="ok"} 0\n')
    after = Page('# TYPE sidestep_requests_total counter\nsidestep_requests_total{outcome="ok"} 1\n')
    fields = {
        "before": page,
        "after": after,
        "lines": [{"message": "request"}],
        "stdout": "",
        "stderr": "",
        "spans": [],
    }
    return Inside(**fields | {"alive": True, "pulse": [0.001] * 10} | changes)


def judged(*sent, **changes):
    fields = {
        "upstreams": [upstream(("q", 0.0))],
        "attempts": 2,
        "deadline": 1.0,
        "canaries": (CANARY,),
        "sent": list(sent),
    }
    return violations(History(**fields | changes))


@pytest.mark.parametrize(
    "sent", [streamed(*WHOLE), plain("p1:1:0 = q"), plain(REFUSAL, 502)], ids=["stream", "plain", "502"]
)
def test_a_good_end_breaks_nothing(sent):
    assert judged(sent) == []


def test_a_whole_history_breaks_nothing():
    assert judged(streamed(*WHOLE), inside=inside()) == []


BROKEN = {
    "I1 never ended": plain("p1:1:0 ", ended=None),
    "I1 took": plain("p1:1:0 = q", ended=2.0),
    "I1 was cut": plain("p1:1:0 ", complete=False),
    "I1 no JSON": Sent(
        "q", stream=False, begun=0.0, status=502, headers=JSON, body=b"<html>", complete=True, ended=0.1
    ),
    "I1 without an error": plain({"detail": "no"}, 500),
    "I1 was closed": plain("p1:1:0 ", problem="was closed without an answer"),
    "I1 a [DONE] and an error": streamed(chunk("p1:1:0 "), REFUSAL, "[DONE]"),
    "I1 neither an end nor an error": streamed(chunk("p1:1:0 ")),
    "I1 goes on after": streamed(*WHOLE, chunk("p1:1:2 ")),
    "I2 of several answers": streamed(chunk("p1:1:0 "), chunk("p2:1:1 "), chunk(reason="stop"), "[DONE]"),
    "I2 out of order": streamed(chunk("p1:1:0 "), chunk("p1:1:2 "), chunk(reason="stop"), "[DONE]"),
    "I4 the answer to": streamed(chunk("p1:1:0 "), chunk("= other"), chunk(reason="stop"), "[DONE]"),
    "I5 is in": plain(f"p1:1:0 {CANARY}:1:0 "),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_bad_answer_is_found(promise):
    name, _, word = promise.partition(" ")
    found = judged(BROKEN[promise])
    assert any(one.startswith(name) and word in one for one in found), found


INSIDE = {
    "I5": {"stdout": f"key {CANARY}"},
    "I7": {"lines": []},
    "I8": {"pulse": [0.001] * 9 + [0.2]},
    "I9": {"alive": False},
    "I9 ": {"stderr": "Task exception was never retrieved"},
}


@pytest.mark.parametrize("promise", INSIDE)
def test_what_the_process_did_is_found(promise):
    found = judged(streamed(*WHOLE), inside=inside(**INSIDE[promise]))
    assert any(one.startswith(promise.strip()) for one in found), found


def test_too_many_calls_and_calls_after_the_commit_are_found():
    found = judged(streamed(*WHOLE), upstreams=[upstream(("q", 0.0), ("q", 0.05), ("q", 0.2))])
    assert found == ["I3 q cost 3 calls", "I3 q was asked anew after its first token"]


def test_what_is_left_over_is_found():
    assert judged(streamed(*WHOLE), left_over=["1 calls at p1"]) == ["I6 1 calls at p1"]
