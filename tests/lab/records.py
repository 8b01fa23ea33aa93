"""Records of requests that never happened, for everything that is made from a record after the answer."""

from typing import Any

from proxy.errors import AllProvidersFailed, ErrorClass, Failure, ProviderVerdict
from proxy.messages import AnswerFacts, Operation, Request
from proxy.record import Attempt, Event, Record, Step

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
STARTED = 1000.0
WALL_OFFSET = 1_800_000_000.0 - STARTED


def request(**changes: Any) -> Request:
    fields: dict[str, Any] = {
        "id": "req-1",
        "operation": Operation.CHAT,
        "path": "/v1/chat/completions",
        "body": b"{}",
        "document": {"model": "fast", "temperature": 0.2, "messages": [{"role": "user", "content": "the secret plan"}]},
        "model": "fast",
    }
    return Request(**(fields | changes))


def call(number: int = 1, provider: str = "alpha", *, at: float = 0.0, took: float = 0.5, **changes: Any) -> Attempt:
    """One attempt that began `at` seconds into the request and took `took` seconds; a success unless told otherwise."""
    fields: dict[str, Any] = {
        "number": number,
        "resend": 0,
        "provider": provider,
        "model": f"{provider}-model",
        "method": "POST",
        "url": f"https://{provider}.test/v1/chat/completions",
        "template": "/v1/chat/completions",
        "span_id": 0xA000 + number,
        "started": STARTED + at,
        "ended": STARTED + at + took,
        "headers_at": STARTED + at + took / 2,
        "status": 200,
    }
    return Attempt(**(fields | changes))


def failed_call(
    number: int = 1, provider: str = "alpha", error_class: ErrorClass = ErrorClass.OVERLOADED, **changes: Any
) -> Attempt:
    """One attempt that failed, by default with a 503."""
    status = changes.pop("status", 503)
    failure = Failure(error_class=error_class, message=f"{provider} failed", status=status)
    return call(number, provider, **({"failure": failure, "status": status} | changes))


def record(*attempts: Attempt, **changes: Any) -> Record:
    """A finished request over these attempts, two seconds long, answered by the last of them."""
    fields: dict[str, Any] = {
        "request": request(),
        "trace_id": TRACE_ID,
        "started": STARTED,
        "ended": STARTED + 2.0,
        "wall_offset": WALL_OFFSET,
        "route": "chat",
        "generation": "abc123def456",
        "attempts": list(attempts),
        "provider": attempts[-1].provider if attempts else "",
        "status": 200,
    }
    made = Record(**(fields | changes))
    made.finish(made.ended)
    return made


def success(**changes: Any) -> Record:
    facts = AnswerFacts(id="cmpl-1", model="alpha-model-1", input_tokens=7, output_tokens=3, finish_reasons=("stop",))
    strategy = Step("strategy", STARTED + 0.001, STARTED + 0.002, {"sidestep.strategy": "primary_only"})
    attempt = call(facts=facts, took=1.5, first_output_at=STARTED + 1.4)
    return record(attempt, **({"steps": [strategy], "first_output_at": STARTED + 1.4} | changes))


def failover(**changes: Any) -> Record:
    """The first provider answers 503, the second one serves."""
    turns = [Step("strategy", STARTED + at, STARTED + at + 0.001) for at in (0.001, 0.351)]
    bad = failed_call(1, "alpha", at=0.1, took=0.2)
    good = call(2, "beta", at=0.4)
    moved = Event("failover", STARTED + 0.35, {"from": "alpha", "to": "beta", "reason": "overloaded"})
    return record(bad, good, **({"steps": turns, "events": (moved,)} | changes))


def broken_stream(**changes: Any) -> Record:
    """A committed stream was cut: 200 to the client, and an error frame at its end."""
    failure = Failure(error_class=ErrorClass.BROKEN, message="the stream ended early", status=200)
    cut = call(1, "alpha", failure=failure, first_output_at=STARTED + 0.2)
    return record(cut, **({"request": request(stream=True), "broken": failure} | changes))


def cancelled(**changes: Any) -> Record:
    failure = Failure(error_class=ErrorClass.CANCELLED, message="the client left")
    return record(call(1, "alpha", failure=failure), **({"cancelled": True, "status": 499} | changes))


def all_failed(**changes: Any) -> Record:
    attempts = [failed_call(1, "alpha"), failed_call(2, "alpha", resend=1, at=0.6), failed_call(3, "beta", at=1.2)]
    error = AllProvidersFailed("every provider failed")
    return record(*attempts, **({"provider": "", "status": 502, "error": error} | changes))


def verdict(**changes: Any) -> Record:
    """The provider refused the request itself: a 4xx that is passed on."""
    attempt = failed_call(1, "alpha", ErrorClass.INVALID_REQUEST, status=400)
    assert attempt.failure is not None
    return record(attempt, **({"provider": "", "status": 400, "error": ProviderVerdict(attempt.failure)} | changes))
