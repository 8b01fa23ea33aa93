"""Nine promises that hold whatever breaks. Each takes a history and says what broke it; nothing when it was kept."""

from collections import Counter
from collections.abc import Callable, Iterator

from lab import tokens
from lab.history import History, Sent

NOISE = ("Traceback (most recent call last)", "was never retrieved", "was never awaited", "Task was destroyed")


def ends_once_and_in_time(history: History) -> Iterator[str]:
    """I1: every request ends in time: an answer, a well-formed error, or an error frame, and never a false end."""
    for sent in history.sent:
        if sent.left:
            continue
        if sent.ended is None:
            yield f"{sent.nonce} never ended"
        elif sent.took > history.deadline + history.slack:
            yield f"{sent.nonce} took {sent.took:.2f} s"
        elif wrong := _wrong_end(sent):
            yield f"{sent.nonce} {wrong}"


def tokens_are_whole(history: History) -> Iterator[str]:
    """I2: the tokens of an answer are of one provider, in order, none lost or doubled."""
    for sent in _with_text(history):
        try:
            tokens.read(sent.text)
        except AssertionError as mistake:
            yield f"{sent.nonce}: {mistake}"


def calls_are_bounded(history: History) -> Iterator[str]:
    """I3: a request costs at most `attempts` calls, repeats stay within the budget, and none follows a commit."""
    by_nonce = Counter(asked.question for upstream in history.upstreams for asked in upstream.requests)
    last = {asked.question: max(asked.at, 0) for upstream in history.upstreams for asked in upstream.requests}
    for sent in history.sent:
        if by_nonce[sent.nonce] > history.attempts:
            yield f"{sent.nonce} cost {by_nonce[sent.nonce]} calls"
        if sent.stream and sent.first_at is not None and last.get(sent.nonce, 0) > sent.first_at:
            yield f"{sent.nonce} was asked anew after its first token"
    if history.inside is not None:
        repeats, requests = history.inside.grown("sidestep_retries_total"), len(history.sent)
        if repeats > max(0.2 * requests, 30):  # the shipped budget over its ten seconds: 20 %, or 3 a second
            yield f"{repeats:.0f} repeats for {requests} requests"


def nonces_come_back(history: History) -> Iterator[str]:
    """I4: whoever asks gets the answer to what was asked; pooled connections do not talk across."""
    for sent in _with_text(history):
        told = tokens.read(sent.text).echo if "= " in sent.text else None
        if told is not None and told != sent.nonce[: tokens.ECHO_LIMIT]:
            yield f"{sent.nonce} got the answer to {told}"


def secrets_stay(history: History) -> Iterator[str]:
    """I5: no key, token or cookie is in what clients, logs, metrics, spans or the operator's pages are told."""
    sinks = {f"the answer to {sent.nonce}": sent.body.decode("latin-1") + repr(sent.headers) for sent in history.sent}
    if (inside := history.inside) is not None:
        sinks |= {"stdout": inside.stdout, "stderr": inside.stderr, "/metrics": inside.after.text}
        sinks |= {"spans": repr(inside.spans), "the operator's pages": inside.documents}
    for name, text in sinks.items():
        yield from (f"{canary} is in {name}" for canary in history.canaries if canary in text)


def nothing_is_left(history: History) -> Iterator[str]:
    """I6: soon after the storm there are no calls, connections or descriptors left but idle ones."""
    yield from history.left_over


def everybody_counts_the_same(history: History) -> Iterator[str]:
    """I7: the gateway's counters, its log and the clients' own book tell of the same requests, outcome by outcome."""
    inside = history.inside
    if inside is None or history.uncounted:
        return
    own = Counter(_outcome(sent) for sent in history.sent)
    for outcome in sorted(own.keys() | {"ok", "refused", "failed", "broken", "cancelled"}):
        counted = inside.grown("sidestep_requests_total", outcome=outcome)
        if counted != own[outcome]:
            yield f"{own[outcome]} requests were {outcome}, the gateway counted {counted:.0f}"
    lines = sum(line["message"] == "request" for line in inside.lines)
    if lines != len(history.sent):
        yield f"{len(history.sent)} requests, {lines} lines in the log"


def the_loop_keeps_its_pace(history: History) -> Iterator[str]:
    """I8: a bystander who asks /livez all the time waits 20 ms at the 99th percentile and 100 ms at most."""
    if history.inside is None or not history.timed or len(history.inside.pulse) < 5:
        return
    pulse = sorted(history.inside.pulse)
    p99 = pulse[int(len(pulse) * 0.99)] if len(pulse) >= 100 else 0.0  # of fewer it says nothing
    if p99 > 0.020 or pulse[-1] > 0.100:
        yield f"/livez took {p99 * 1000:.0f} ms at p99, {pulse[-1] * 1000:.0f} ms at most"


def it_lives_and_is_calm(history: History) -> Iterator[str]:
    """I9: the process is alive, and tells no traceback for what a client or an upstream did."""
    inside = history.inside
    if inside is None:
        return
    if not inside.alive:
        yield "the process ended"
    yield from (f"{noise!r} in its output" for noise in NOISE if noise in inside.stdout + inside.stderr)
    if inside.stderr:
        yield f"stderr: {inside.stderr[:200]}"
    for line in inside.lines:
        if "exception" in line:
            yield f"an exception in the log: {line['message']} {line['exception']}"[:400]


INVARIANTS: dict[str, Callable[[History], Iterator[str]]] = {
    "I1": ends_once_and_in_time,
    "I2": tokens_are_whole,
    "I3": calls_are_bounded,
    "I4": nonces_come_back,
    "I5": secrets_stay,
    "I6": nothing_is_left,
    "I7": everybody_counts_the_same,
    "I8": the_loop_keeps_its_pace,
    "I9": it_lives_and_is_calm,
}


def violations(history: History) -> list[str]:
    """Check them all; a few examples of each that was broken."""
    found = []
    for name, check in INVARIANTS.items():
        examples = list(check(history))
        found += [f"{name} {example}" for example in examples[:3]]
        found += [f"{name} ... and {len(examples) - 3} more"] if len(examples) > 3 else []
    return found


def _wrong_end(sent: Sent) -> str:
    """What is wrong with the way in which an answer ended."""
    if sent.problem:
        return sent.problem
    if not sent.complete:
        return f"{sent.status} was cut without a word"
    try:
        error = sent.error
    except ValueError:
        return f"got something that is no JSON: {sent.body[:80]!r}"
    if sent.status == 200 and sent.streamed:
        if sent.done and error is not None:
            return "has a [DONE] and an error"
        if not sent.done and not sent.finished and error is None:
            return "has neither an end nor an error"
        return "goes on after its end" if sent.done and sent.events[-1] != "[DONE]" else ""
    if sent.status == 200:
        return "is an answer and an error" if error else ""
    wanted = {"message", "type", "code"}
    return "" if isinstance(error, dict) and wanted <= error.keys() else f"{sent.status} without an error that says why"


def _with_text(history: History) -> Iterator[Sent]:
    for sent in history.sent:
        if (
            sent.status == 200
            and sent.complete
            and sent.text
            and "static" not in (sent.headers.get("x-sidestep-degraded") or "")
        ):
            yield sent


def _outcome(sent: Sent) -> str:
    """The gateway's word for what its client saw."""
    if sent.left:
        return "cancelled"
    if sent.answered:
        return "degraded" if sent.headers.get("x-sidestep-degraded") else "ok"
    if sent.status == 200:
        return "broken"
    return "refused" if sent.status is not None and sent.status < 500 else "failed"
