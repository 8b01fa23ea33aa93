"""Every lie that the lab can tell on the wire: the client gets one whole answer, or one honest end, and soon."""

import asyncio
import json
import resource

import pytest
from lab import tokens
from lab.configuration import provider, routes
from lab.faults import FAULTS
from lab.sidecar import running
from lab.ways import AFTER

NEVER = 10.0
SMALLER = {"huge_body": "huge_body:70", "huge_event": "huge_event:6", "gzip_bomb": "gzip_bomb:20"}
"""Just over the limits; the lab's own sizes only take longer."""
SLOWER = {"latency": "latency:0.05", "slow_headers": "slow_headers:0.05", "slow_body": "slow_body:0.05"}
OTHERS = {"not_an_image", "balance_notice", "early_answer", "endless_stream"}
"""Of no concern here: a picture, an answer that only Pollinations' dialect doubts, a verdict that is passed on, and a
stream that goes on until its deadline."""
BREAKING = {fault.partition(":")[0] for fault in AFTER.values()} | {
    "cut_close_delimited",
    "error_mid_string",
    "huge_event",
    "truncated",
    "truncated_reset",
}
"""They strike after the first output of a stream."""
LAB = {name for name, play in FAULTS.items() if play.__module__.startswith("lab.")}
"""The lab's own lies: other tests that run in this process add theirs."""
MEMORY = 150 * 1024
"""KiB that the whole test process may grow by, the lab's own buffers included."""


def judged(response):
    """The text of an answer, and whether it ended well."""
    if response.headers.get("content-type") == "application/json":
        return response.json()["choices"][0]["message"]["content"], True
    response.body = response.body.replace(b"\r", b"\n")  # bare CRs end lines as well, and were passed on as such
    events = response.events()
    ended = events[-1] == "[DONE]"
    documents = [json.loads(event) for event in events if event != "[DONE]"]
    broke = "error" in documents[-1]
    text = "".join(choice["delta"].get("content") or "" for each in documents for choice in each.get("choices", []))
    assert not (ended and broke), "a stream that broke is never called done"
    return text, not broke


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", sorted(LAB - OTHERS))
async def test_a_lie_of_the_primary_is_never_the_client_s_problem(name, stream, p1, p2):
    p1.fault = (SMALLER | SLOWER).get(name, name)
    clocks = {"connect": "1s", "first_output": "5s", "idle": "200ms", "total": "8s"}
    pair = routes({"p1": provider(p1, timeout="200ms"), "p2": p2})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with running(pair, timeouts=clocks) as sidecar, asyncio.timeout(NEVER):
        if name == "close_on_reuse":
            await sidecar.chat("first")
        response = await sidecar.chat("nonce-w", stream=stream)
    assert response.status == 200, response.body
    text, whole = judged(response)
    told = tokens.read(text)
    if stream and name in BREAKING:
        # On a busy machine the break may arrive together with the first output: then nobody has seen any of it yet.
        assert not whole or told.provider == "p2"
    else:
        assert whole
    if whole and name != "bad_event":  # whose stream leaves out the echo
        assert told.echo == "nonce-w"
    assert len(sidecar.records[-1].attempts) <= 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


async def test_a_pooled_connection_that_went_stale_is_repeated_for_free(p1, p2, pair):
    p1.fault = "close_on_reuse"
    async with running(pair) as sidecar:
        await sidecar.chat("first")
        second = await sidecar.chat("second")
    assert second.headers.get("x-sidestep-provider") == "p1"
    assert [len(record.attempts) for record in sidecar.records] == [1, 1]
    assert not p2.requests
