"""Streams that break after their first token, and streams that are only odd."""

import json

from lab.client import RawClient, request
from lab.playing import IDLE
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

CHAPTER = "A stream breaks under way"
TOLD = "what was shown stays; then one error frame and the end, no [DONE], nobody else is asked"
PLAIN = "a plain answer that is cut fails over unseen"


def breaking(name: str, fault: str, *, silent: bool = False, fast: bool = False) -> Scenario:
    """Tokens, then a break. `silent`: nothing tells but the clock."""

    async def play(stage: Stage) -> None:
        stage.primary.interval = 0.02  # the first token is shown before the break comes
        breaker = await stage.breaker() if hasattr(stage.gateway, "admin_port") else "closed"
        streamed = [await stage.ask(stream=True) for _ in range(3)]
        for sent in streamed:
            reached = sent.status == 200 and sent.text.startswith("primary:")
            if not reached:  # its breaker opened meanwhile, as it should
                stage.expect(sent.answered and sent.text.startswith("secondary:"), f"{sent.nonce}: {sent.status}")
                continue
            stage.expect(sent.error is not None and not sent.done, f"{sent.nonce} ended as if it were whole")
            late = (sent.ended or 0) - (sent.last_at or 0)
            limit = IDLE + 0.25 if silent else 0.1
            stage.figures["frame"] = max(stage.figures.get("frame", 0.0), late * 1000)
            stage.expect(not stage.history.timed or late <= limit, f"the frame came after {late * 1000:.0f} ms")
        stage.expect(streamed[0].text.startswith("primary:"), "the first stream was not the primary's")
        stage.expect(breaker == "closed", "the breaker was not closed at first")
        if hasattr(stage.gateway, "admin_port"):
            stage.expect(await stage.breaker() != "closed", "three breaks did not open the breaker")
        for sent in await stage.storm(4, stream=False):
            stage.expect(sent.answered, f"{sent.nonce}, not streamed: {sent.status}")
        if "frame" in stage.figures:
            stage.see(f"error frame after {stage.figures['frame']:.0f} ms at most; plain requests answered")

    return Scenario(
        name=name,
        chapter=CHAPTER,
        expected=f"{TOLD}; {PLAIN}",
        play=play,
        fault=fault,
        portable=True,
        primary={"timeout": "2s"},
        fast=fast,
    )


BREAKS = [
    breaking("a FIN after two tokens", "cut:2", fast=True),
    breaking("a reset after two tokens", "cut_reset:2"),
    breaking("a FIN within an event", "cut_in_event:2"),
    breaking("a proper end without a finish", "cut_clean:2", fast=True),
    breaking("an end without framing", "cut_stream_close_delimited:2"),
    breaking("an error event", "error_mid:2"),
    breaking("an error event and a [DONE]", "error_mid_done:2"),
    breaking("a [DONE] without a finish", "done_without_finish:2"),
    breaking("an error with a word for its code", "error_mid_string:2"),
    breaking("a chunk without a size", "bad_chunk:0.02"),
    breaking("silence", "stall:2", silent=True, fast=True),
    breaking("comments and nothing else", "stall_with_comments:2", silent=True),
]


QUESTION = "odd-\u00e9-\u2026-\U0001f600"
"""Of characters that take two, three and four bytes, so that they can be split; the answer echoes them."""


async def as_it_was(stage: Stage) -> None:
    """Ask through the gateway and directly: the same bytes, but for the request's number."""
    wants = {"stream": True, "stream_options": {"include_usage": True}}
    through = await stage.ask(QUESTION, **wants)
    stage.expect(through.answered and through.text.startswith("primary:"), f"{through.status}: {through.body[:200]!r}")
    async with RawClient(stage.primary.port) as client:
        question = {"model": "small", "messages": [{"role": "user", "content": QUESTION}], **wants}
        direct = await client.ask(request(document=question))
    number = json.dumps(through.text.split(":")[1])[1:-1].encode()
    own = str(len(stage.primary.requests)).encode()
    told = direct.body.replace(b"primary-" + own, b"primary-" + number)
    told = told.replace(b"primary:" + own + b":", b"primary:" + number + b":")
    mended = b"\n" if told.endswith(b"[DONE]\n") else b""  # without a blank line a client would not see the last event
    stage.expect(through.body == told + mended, "the bytes were changed")
    stage.primary.requests.pop()


def odd(name: str, fault: str, *, fast: bool = False) -> Scenario:
    """A stream that is written as the standard allows and nobody expects."""
    return Scenario(
        name=name,
        chapter="A stream is odd, and legal",
        play=as_it_was,
        fault=fault,
        fast=fast,
        primary={"timeout": "4s"},
        expected="understood as WHATWG says, passed on byte for byte",
    )


ODDITIES = [
    odd("lines end in CR", "sse_cr"),
    odd("lines end in CRLF", "sse_crlf"),
    odd("CRLF split between reads", "sse_crlf_split"),
    odd("a byte order mark", "sse_bom"),
    odd("no space after the colon", "sse_no_space"),
    odd("data on many lines", "sse_multiline"),
    odd("a byte at a time", "sse_bytes", fast=True),
    odd("no [DONE] after the finish", "no_done"),
    odd("all in one piece", "sse_one_piece"),
    odd("no last blank line", "sse_no_last_blank"),
    odd("every other field", "sse_fields"),
    odd("comments first", "comments_first"),
]


@scenario(
    "A stream is odd, and legal",
    "an answer in gzip that nobody asked for is unpacked",
    fault="gzipped",
    primary={"timeout": "4s"},
)
async def gzip_unasked(stage: Stage) -> None:
    for stream in (False, True):
        sent = await stage.ask(stream=stream)
        stage.expect(sent.answered, f"{sent.status}: {sent.body[:100]!r}")


@scenario(
    "A stream is odd, and legal", "an interim answer is passed over", fault="early_hints", primary={"timeout": "4s"}
)
async def early_hints(stage: Stage) -> None:
    sent = await stage.ask()
    stage.expect(sent.answered and sent.text.startswith("primary:"), f"{sent.status}: {sent.body[:100]!r}")


@scenario(
    "A stream is odd, and legal",
    "one event that is not JSON is left out, what parses is passed on",
    fault="bad_event:5",
    primary={"timeout": "4s"},
)
async def an_event_that_is_not_JSON(stage: Stage) -> None:  # noqa: N802  its name in the table
    sent = await stage.ask(stream=True)
    stage.expect(sent.answered and len(sent.text.split()) == 5, f"{sent.status}: {sent.body[:100]!r}")


# Too much of it

MEMORY = 16.0
"""MiB that an attack may cost."""
CUT = "the attempt ends at a cap, in an error frame, at most {:g} MiB more memory"
CAPPED = "the attempt ends at a cap, the secondary answers, at most {:g} MiB more memory"


def flooding(
    name: str, fault: str, *, stream: bool, after_output: bool = False, fast: bool = False, memory: float = MEMORY
) -> Scenario:
    """Bytes without end. `memory`: MiB."""

    async def play(stage: Stage) -> None:
        sent = await stage.ask(stream=stream)
        if after_output:
            stage.expect(sent.error is not None and not sent.done, f"ended as if it were whole: {sent.body[-80:]!r}")
        else:
            stage.expect(sent.answered and sent.text.startswith("secondary:"), f"{sent.status} {sent.body[:100]!r}")
        stage.expect(len(sent.body) < 8 * 2**20, f"{len(sent.body)} bytes reached the client")
        grown = (stage.ours.peak_memory() - stage.figures["start"]) / 2**20
        stage.expect(grown <= memory, f"{grown:.1f} MiB more memory")
        taken = sum(connection.bytes_out for connection in stage.primary.connections) / 2**20
        stage.see(f"{grown:.1f} MiB more memory, {taken:.1f} MiB taken in")

    async def measured(stage: Stage) -> None:
        stage.ours.forget_peak()
        stage.figures["start"] = float(stage.ours.memory())
        await play(stage)
        del stage.figures["start"]

    return Scenario(
        name=name,
        chapter="A provider sends too much",
        expected=(CUT if after_output else CAPPED).format(memory),
        play=measured,
        fault=fault,
        fast=fast,
        primary={"timeout": "6s"},
        policy={"timeouts": {"connect": "1s", "total": "10s"}},
    )


FLOODS = [
    flooding("one event of 100 MB", "huge_event:100", stream=True, after_output=True),
    flooding("endless headers", "endless_headers", stream=False, fast=True),
    flooding("an endless header", "endless_header", stream=False),
    flooding("a gzip bomb of 100 MB", "gzip_bomb:100", stream=False),
    flooding("a plain answer of 100 MB", "huge_body:100", stream=False, memory=80),
]

SCENARIOS = [*BREAKS, *ODDITIES, *scenarios_in(globals()), *FLOODS]
