"""The primary fails before it shows anything: nobody notices but the operator."""

import json
from email.utils import formatdate
from time import time

from lab.fault import Fault, status
from lab.playing import FIRST_OUTPUT
from lab.scenario import DOWN, Scenario, scenario, scenarios_in
from lab.stage import Stage

CHAPTER = "A provider fails before its first output"
UNSEEN = "every request is answered by the secondary; no error"
UNREACHABLE = "https://255.255.255.255:9/v1"
"""TCP to the broadcast address is refused by our own kernel: network unreachable, without a packet."""
UNKNOWN_HOST = f"https://{'nowhere.' * 40}invalid/v1"
"""A name too long for DNS, so that the resolver gives up without asking anybody."""


async def everybody_is_answered(stage: Stage) -> None:
    """Both kinds of request, many times: whole answers of the secondary, whatever the primary does."""
    for sent in await stage.storm():
        stage.expect(sent.answered, f"{sent.nonce}: {sent.status} {sent.problem} {sent.body[:120]!r}")
        stage.expect(sent.text.startswith("secondary:"), f"{sent.nonce} was answered by {sent.text[:20]!r}")


def dead(name: str, fault: str | Fault = "ok", *, fast: bool = False, portable: bool = True, **fields) -> Scenario:
    """One way in which a provider is dead."""
    return Scenario(
        name=name,
        chapter=CHAPTER,
        expected=UNSEEN,
        play=everybody_is_answered,
        fault=fault,
        fast=fast,
        portable=portable,
        **fields,
    )


NO_MODEL = {
    "error": {
        "message": "The model `small` does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
}
QUOTA = {
    "error": {
        "message": "You exceeded your current quota",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
}

TABLE = [
    dead("refuses connections", DOWN, fast=True),
    dead("is unreachable", primary={"base_url": UNREACHABLE}, portable=False),
    dead("has a name that does not resolve", primary={"base_url": UNKNOWN_HOST}, portable=False),
    dead("resets connections", "reset_on_connect"),
    dead("closes connections", "close_on_connect"),
    dead("accepts and never reads", "hang_on_connect", fast=True),
    dead("reads and never answers", "hang", fast=True),
    dead("resets after the request", "reset"),
    dead("closes after the request", "close"),
    dead("resets within its headers", "reset_in_headers"),
    dead("closes within its headers", "close_in_headers"),
    dead("resets after its headers", "reset_after_headers"),
    dead("closes after its headers", "close_after_headers"),
    dead("sends headers and never a body", "hang_after_headers"),
    dead("sends a header byte a second", "slow_headers:0.1"),
    dead("sends a body byte a second", "slow_body:0.1"),
    dead("sends its role and closes", "role_then_close", fast=True),
    dead("sends its role and an error", "role_then_error"),
    dead("sends its role and stalls", "role_then_stall"),
    dead("sends an error event first", "error_event_first"),
    dead("sends comments for ever", "comments"),
    dead("sends an empty stream", "empty_stream"),
    dead("answers 500", "status:500"),
    dead("answers 503 with a page", "status_html:503", fast=True),
    dead("answers 530 with a word", "status_text:530"),
    dead("answers 529 with nothing", "status_empty:529"),
    dead("answers 408", "status:408"),
    dead("answers 401", "status:401", lasting=True, fast=True),
    dead("answers 402", "status:402", lasting=True),
    dead("answers 403", "status:403", lasting=True),
    dead("answers 429 because the quota is used up", status(429, QUOTA), lasting=True),
    dead("answers 404 because it has no such model", status(404, NO_MODEL), lasting=True),
    dead("answers 200 with an error", "error_body", fast=True),
    dead("answers 200 with no choices", "empty_choices"),
    dead("answers 200 with null content", "null_content"),
    dead("answers 200 with empty content", "empty_content"),
    dead("answers 200 with an error beside its words", "choice_error"),
    dead("answers 200 with a page", "html"),
    dead("answers 200 with nothing", "empty_body"),
    dead("answers 200 that is not JSON", "not_json", fast=True),
    dead("says two lengths", "double_length"),
    dead("says a length beside chunks", "length_and_chunked"),
    dead("sends a NUL in a header", "header_nul"),
    dead("sends a CR in a header", "header_cr"),
    dead("answers with status 99", "status_line:99"),
    dead("answers with status 999", "status_line:999"),
    dead("switches protocols unasked", "switching"),
    dead("answers 204 with a body", "no_content"),
    dead("does not speak HTTP", "garbage"),
    dead("calls plain bytes gzip", "false_gzip"),
    dead("redirects to itself", "redirect"),
    dead("redirects to a metadata service", "redirect:http://169.254.169.254/latest/meta-data/"),
    dead("has an expired certificate", certificate="expired", portable=False, fast=True),
    dead("has a certificate for another name", certificate="wrong_name", portable=False),
    dead("has a certificate that nobody signed", certificate="unknown", portable=False),
    dead("never finishes the TLS handshake", "hang_on_connect", portable=False),
]


@scenario(
    CHAPTER,
    "every request gets a whole answer: a plain one that is right but for its type is taken, a stream fails over",
    fault="wrong_type",
    portable=True,
)
async def answers_200_of_the_wrong_type(stage: Stage) -> None:
    for sent in await stage.storm():
        stage.expect(sent.answered, f"{sent.nonce}: {sent.status} {sent.problem} {sent.body[:120]!r}")
        stage.expect(not sent.stream or sent.text.startswith("secondary:"), f"{sent.nonce}: {sent.text[:20]!r}")


@scenario(
    CHAPTER,
    "plain requests are answered by the secondary; a stream too, unless its tokens came before the lie",
    fault="wrong_length",
    portable=True,
    fast=True,
)
async def says_one_length_too_little(stage: Stage) -> None:
    for sent in await stage.storm():
        whole = sent.answered and (sent.stream or sent.text.startswith("secondary:"))
        cut = sent.stream and sent.status == 200 and sent.error is not None
        stage.expect(whole or cut, f"{sent.nonce}: {sent.status} {sent.body[-120:]!r}")


def halved(name: str, fault: str) -> Scenario:
    """A plain answer of which only half comes; a stream would have shown something by then."""

    async def play(stage: Stage) -> None:
        for sent in await stage.storm(stream=False):
            stage.expect(sent.answered and sent.text.startswith("secondary:"), f"{sent.nonce}: {sent.body[:120]!r}")

    return Scenario(name=name, chapter=CHAPTER, expected=UNSEEN, play=play, fault=fault, portable=True)


HALVES = [
    halved("closes in the midst of its answer", "truncated"),
    halved("resets in the midst of its answer", "truncated_reset"),
    halved("closes in the midst of an answer without framing", "cut_close_delimited"),
    halved("sends a chunk without a size", "bad_chunk"),
]


@scenario(CHAPTER, "its call is given up at its `timeout` and closed within 100 ms", fault="hang", fast=True)
async def hangs_and_is_given_up(stage: Stage) -> None:
    waits = []
    for _ in range(2):
        stage.expect((await stage.ask()).answered, "the secondary did not answer")
        asked = stage.primary.requests[-1]
        connection = stage.primary.connections[asked.connection]
        await stage.primary.until(lambda connection=connection: connection.client_left is not None, within=3)
        waits.append((connection.client_left or 0.0) - asked.at)
    late = max(waits) - FIRST_OUTPUT
    stage.figures["closed"] = late * 1000
    stage.see(f"closed {late * 1000:.0f} ms after its time at most")
    stage.expect(not stage.history.timed or late <= 0.1, f"closed {late * 1000:.0f} ms after its time")


@scenario(CHAPTER, "the operator reads why in the status", certificate="expired", fast=True)
async def has_a_false_certificate_and_the_operator_looks(stage: Stage) -> None:
    stage.expect((await stage.ask()).answered, "the secondary did not answer")
    status_page = json.loads((await stage.ours.operator("/admin/status")).body)
    told = str(status_page["providers"][stage.names[0]]["health"]["last_error"])
    stage.see(told)
    stage.expect("certificate" in told.lower(), f"the status says {told!r}")
    stage.expect(not stage.primary.requests, "the provider was asked in spite of its certificate")


@scenario(
    CHAPTER,
    "remembered for that model only: its other models are asked as before",
    fault=status(404, NO_MODEL),
    primary={"timeout": "4s"},
    fast=True,
)
async def lacks_one_model_of_several(stage: Stage) -> None:
    sent = [await stage.ask(model="lacking") for _ in range(3)]
    stage.expect(all(each.text.startswith("secondary:") for each in sent), "not answered by the secondary")
    stage.expect(len(stage.primary.requests) == 1, f"asked {len(stage.primary.requests)} times for what it lacks")
    stage.primary.fault = "ok"
    other = await stage.ask(model="other")
    stage.expect(other.text.startswith("primary:"), f"another model was answered by {other.text[:20]!r}")
    again = await stage.ask(model="lacking")
    stage.expect(again.text.startswith("secondary:"), "it was asked again for what it lacks")


# What a provider asks for is obeyed

COOLED = "its cool-down is kept: no call before it ends, and no error"


def refusing_for(name: str, expected_calls: str, **headers: str) -> Scenario:
    """A 429 with some word about when to come back, or none."""

    async def play(stage: Stage) -> None:
        first = await stage.ask()
        stage.expect(first.answered, "the first request saw the 429")
        at = stage.primary.requests[0].at
        await stage.storm(stage.requests // 2, workers=2, pause=0.01)
        calls = [asked.at - at for asked in stage.primary.requests[1:]]
        if expected_calls == "none":
            stage.expect(not calls, f"called again after {min(calls, default=0):.2f} s")
        else:
            stage.expect(len(calls) <= 20, f"called {len(calls)} times")
        stage.see(f"{len(calls) + 1} calls to it, {sum(one.failed for one in stage.history.sent)} errors")

    return Scenario(
        name=name,
        chapter="A provider asks for patience",
        expected=COOLED,
        play=play,
        fault=status(429, **headers),
        portable=True,
        lasting=True,
    )


PATIENCE = [
    refusing_for("429 with seconds", "none", retry_after="30"),
    refusing_for("429 with a date", "none", retry_after=formatdate(time() + 3600, usegmt=True)),
    refusing_for("429 with milliseconds", "none", retry_after_ms="30000"),
    refusing_for("429 with nothing", "few"),
    refusing_for("429 with nonsense", "few", retry_after="soon, I promise"),
]


@scenario(
    "A provider asks for patience", "asked again once its second is over", fault=status(429, retry_after="1"), fast=True
)
async def a_cool_down_ends_by_itself(stage: Stage) -> None:
    await stage.ask()
    stage.primary.fault = "ok"
    began = stage.primary.requests[0].at

    async def back() -> bool:
        return (await stage.ask()).text.startswith("primary:")

    await stage.eventually(back, "the primary was not asked again", within=6)
    waited = stage.primary.requests[1].at - began if len(stage.primary.requests) > 1 else 0.0
    stage.expect(waited >= 1.0, f"asked again after {waited:.2f} s already")
    stage.see(f"asked again after {waited:.2f} s")


# Verdicts on the request itself


def verdict(name: str, body: dict, second: str) -> Scenario:
    """What is wrong with the request is wrong everywhere."""

    async def play(stage: Stage) -> None:
        sent = await stage.ask()
        stage.expect(sent.status == 400, f"the client was told {sent.status}")
        stage.expect(not stage.secondary.requests, "another provider was bothered")
        stage.expect(sent.document == body, "the verdict was changed")

    return Scenario(
        name=name,
        chapter="A provider refuses the request itself",
        play=play,
        fault=status(400, body),
        expected="passed on word for word; nobody else is asked, nobody is blamed",
        second=second,
    )


def _error(code: str, message: str) -> dict:
    return {"error": {"message": message, "type": "invalid_request_error", "param": "messages", "code": code}}


VERDICTS = [
    verdict("the request is invalid", _error("bad_n", "'n' must be 1"), "ok"),
    verdict("the prompt is too long", _error("context_length_exceeded", "maximum context length is 8 tokens"), "ok"),
    verdict("the prompt is refused", _error("content_policy_violation", "rejected by our safety system"), "ok"),
]

SCENARIOS = [*TABLE, *HALVES, *PATIENCE, *scenarios_in(globals()), *VERDICTS]
