"""A stream before and after its first real output: what is held back, what is watched, and how it ends."""

import asyncio
import gc
import json

import pytest
from staging import Play, event, fails, good, hangs, says, stream, text

from proxy.config.snapshot import Streaming, Timeouts
from proxy.errors import AllProvidersFailed, DeadlineExceeded, ErrorClass, Failure
from proxy.pipeline.stream import KEEPALIVE_COMMENT
from proxy.transport.session import AttemptError

CUT = AttemptError(Failure(error_class=ErrorClass.BROKEN, message="cut"))


def clocks(**changes):
    return {"timeouts": Timeouts(**({"connect": 1.0, "first_output": 10.0, "idle": 20.0, "total": 100.0} | changes))}


def frame(data):
    """The error inside the last event."""
    return json.loads(data.removesuffix(b"\n\n").rpartition(b"data: ")[2])["error"]


# Before the first output


@pytest.mark.parametrize(
    "first",
    [
        stream(),
        stream("role"),
        stream(": note", "role"),
        stream("role", CUT),
        stream("role", "bad"),
        stream(CUT),
        stream("role", 60),
        stream(60),
        stream(*[": note", 1] * 40),
        says("soft_failure"),
        says("overloaded", 503),
        fails("broken"),
        hangs(),
    ],
    ids=lambda script: repr(script.pieces)[:60],
)
async def test_whatever_goes_wrong_before_the_first_output_is_never_seen(first):
    play = Play(p1=[first], p2=[stream("role", "out", "end")])
    reply = await play.ask(stream=True)

    assert await text(reply) == b"role\n\nout\n\nend\n\n"
    assert play.record.provider == "p2"
    assert play.state("p1").breaker.failure_count == 1
    assert play.at_rest()


async def test_what_was_held_back_goes_out_before_the_output_unchanged():
    play = Play(p1=[stream(": note", "role", 1, "out", "end")], p2=[])
    reply = await play.ask(stream=True)

    assert await reply.stream.read() == b": note\n\nrole\n\nout\n\n"
    assert await reply.stream.read() == b"end\n\n"
    assert await reply.stream.read() == b""


async def test_nothing_goes_out_while_another_provider_could_still_answer():
    play = Play(p1=[stream("role", 5, "out", "end")], p2=[])
    begun = play.clock.now()
    await (await play.ask(stream=True)).stream.read()

    assert play.clock.now() - begun == pytest.approx(5.0)


async def test_without_another_provider_nothing_is_held_back():
    play = Play(p1=[stream("role", 5, "out", "end")])
    begun = play.clock.now()
    reply = await play.ask(stream=True)

    assert await reply.stream.read() == b"role\n\n"
    assert play.clock.now() == begun


async def test_with_the_last_call_of_the_request_nothing_is_held_back():
    play = Play({"attempts": 1}, p1=[stream("role", 5, "out", "end")], p2=[])
    begun = play.clock.now()
    await play.ask(stream=True)

    assert play.clock.now() == begun


async def test_more_than_the_limit_is_not_held_back():
    play = Play({"streaming": Streaming(hold_back=10)}, p1=[stream("role", "role", 5, "out", "end")], p2=[])
    begun = play.clock.now()
    reply = await play.ask(stream=True)

    assert await reply.stream.read() == b"role\n\nrole\n\n"
    assert play.clock.now() == begun


async def test_the_end_of_holding_back_is_noted():
    play = Play(p1=[stream("role", "out", "end")], p2=[])
    await text(await play.ask(stream=True))

    (noted,) = (event for event in play.record.attempts[0].events if event.name == "hold_back.end")
    assert noted.attributes == {"sidestep.held_bytes": len(b"role\n\nout\n\n")}


async def test_a_stream_that_was_let_out_without_output_still_owes_it_in_time():
    play = Play(p1=[stream("role", 60, "out", "end")])
    begun = play.clock.now()
    data = await text(await play.ask(stream=True))

    assert play.clock.now() - begun == pytest.approx(10.0)
    assert frame(data)["code"] == "stream_stalled"
    assert play.state("p1").breaker.failure_count == 1


async def test_a_provider_that_answers_a_stream_plainly_is_judged_as_plain():
    play = Play(p1=[good("fine")])
    reply = await play.ask(stream=True)

    assert (reply.body, reply.stream) == (b"fine", None)


async def test_when_no_stream_shows_output_the_error_is_no_stream():
    play = Play(p1=[stream("role", CUT)], p2=[stream(CUT)])

    with pytest.raises(AllProvidersFailed):
        await play.ask(stream=True)
    assert play.at_rest()


async def test_the_deadline_ends_the_wait_for_the_first_output():
    play = Play(clocks(first_output=90.0, total=20.0), p1=[stream(*[": note", 5] * 10)], p2=[])

    with pytest.raises(DeadlineExceeded):
        await play.ask(stream=True)
    assert play.at_rest()
    assert all(script.closed for script in play.network.played)


# After it

BREAKS = {
    "cut": (CUT, "stream_broken"),
    "an early end": ("", "stream_broken"),
    "a bad event": ("bad", "stream_broken"),
    "silence": (60, "stream_stalled"),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_becomes_one_error_frame_and_never_a_clean_end(name):
    piece, code = BREAKS[name]
    play = Play(p1=[stream("out", *([piece] if piece else []))], p2=[])
    data = await text(await play.ask(stream=True))

    assert data.startswith(b"out\n\ndata: ")
    assert data.count(b"data: ") == 1
    assert b"[DONE]" not in data
    error = frame(data)
    assert (error["code"], error["type"]) == (code, "server_error")
    assert [attempt["provider"] for attempt in error["sidestep"]["attempts"]] == ["p1"]


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_counts_against_the_provider_once(name):
    piece, _ = BREAKS[name]
    play = Play(p1=[stream("out", *([piece] if piece else []))], p2=[])
    await text(await play.ask(stream=True))

    assert play.state("p1").breaker.failure_count == 1
    assert (play.state("p1").usage_count, play.state("p1").in_flight) == (0, 0)
    assert play.record.broken is play.record.attempts[0].failure
    assert play.network.played[0].closed


async def test_after_the_first_output_no_other_provider_is_asked():
    play = Play(p1=[stream("out", CUT)], p2=[])
    await text(await play.ask(stream=True))

    assert play.network.calls == ["p1"]


async def test_output_and_an_error_in_one_piece_fail_over_while_nothing_was_sent():
    script = stream("out")
    script.pieces = (event("out") + event("bad"),)
    play = Play(p1=[script], p2=[stream("out", "end")])
    data = await text(await play.ask(stream=True))

    assert play.network.calls == ["p1", "p2"]
    assert b"error" not in data


async def test_what_came_before_a_bad_event_in_the_same_piece_still_goes_out_after_the_commit():
    script = stream("out")
    script.pieces = (event("out"), event("out") + event("bad"))
    play = Play(p1=[script], p2=[])
    data = await text(await play.ask(stream=True))

    assert data.startswith(b"out\n\nout\n\ndata: ")


@pytest.mark.parametrize(("on_break", "aborted"), [("error", False), ("abort", True)])
async def test_the_policy_says_whether_a_break_resets_the_connection(on_break, aborted):
    play = Play({"streaming": Streaming(on_break=on_break)}, p1=[stream("out", CUT)], p2=[])
    reply = await play.ask(stream=True)
    await text(reply)

    assert reply.stream.aborted is aborted


async def test_a_stream_that_ends_well_is_not_aborted():
    play = Play({"streaming": Streaming(on_break="abort")}, p1=[stream("out", "end")], p2=[])
    reply = await play.ask(stream=True)
    await text(reply)

    assert reply.stream.aborted is False


async def test_a_stream_under_way_lets_go_of_the_prompt_and_keeps_the_settings():
    play = Play(p1=[stream("role", "out", "end")])
    document = {"messages": [{"role": "user", "content": "long"}], "tools": [], "temperature": 0.5, "stop": ["."]}
    reply = await play.ask(stream=True, body=b"long", document=document)

    assert play.record.request.body == b""
    assert play.record.request.document == {"temperature": 0.5, "stop": ["."]}
    await text(reply)


async def test_nothing_follows_the_end():
    play = Play(p1=[stream("out", "end")], p2=[])
    reply = await play.ask(stream=True)
    await text(reply)

    assert [await reply.stream.read() for _ in range(3)] == [b""] * 3


# The watch


async def test_output_extends_the_time_that_a_stream_may_take():
    play = Play(p1=[stream(*["out", 15] * 6, "end")], p2=[])

    assert (await text(await play.ask(stream=True))).endswith(b"end\n\n")


async def test_comments_do_not_extend_it():
    play = Play(p1=[stream("out", *[": note", 5] * 20)], p2=[])
    begun = play.clock.now()
    data = await text(await play.ask(stream=True))

    assert play.clock.now() - begun == pytest.approx(20.0)
    assert frame(data)["code"] == "stream_stalled"


async def test_nor_do_events_without_output():
    play = Play(p1=[stream("out", *["role", 5] * 20)], p2=[])
    begun = play.clock.now()
    await text(await play.ask(stream=True))

    assert play.clock.now() - begun == pytest.approx(20.0)


async def test_the_total_deadline_ends_a_stream_that_goes_on_and_on():
    play = Play(p1=[stream(*["out", 15] * 20)], p2=[])
    begun = play.clock.now()
    data = await text(await play.ask(stream=True))

    assert play.clock.now() - begun == pytest.approx(100.0)
    assert "deadline" in frame(data)["message"]
    assert play.state("p1").breaker.failure_count == 0


async def test_a_tighter_deadline_of_the_clients_ends_a_stream_and_blames_nobody():
    play = Play(p1=[stream(*["out", 5] * 20)], p2=[])
    data = await text(await play.ask(stream=True, timeout=12.0))

    assert "deadline" in frame(data)["message"]
    assert play.state("p1").breaker.failure_count == 0
    assert play.record.attempts[0].failure.error_class is ErrorClass.CANCELLED
    assert play.record.broken is not None
    assert play.at_rest()


async def test_a_client_that_takes_its_time_is_no_fault_of_the_providers():
    play = Play(p1=[stream("out", 1, "out", 1, "out", "end")], p2=[])
    reply = await play.ask(stream=True)
    data = b""
    while piece := await reply.stream.read():
        data += piece
        await play.clock.sleep(25.0)  # longer than the provider may be silent

    assert data == b"out\n\nout\n\nout\n\nend\n\n"
    assert play.state("p1").breaker.failure_count == 0


async def test_the_deadline_runs_on_while_the_client_takes_its_time_and_blames_nobody():
    play = Play(p1=[stream(*["out", 1] * 9, "end")], p2=[])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    await play.clock.sleep(200.0)

    assert "deadline" in frame(await reply.stream.read())["message"]
    assert play.state("p1").breaker.failure_count == 0
    assert play.at_rest()


async def test_silence_counts_even_if_the_client_pauses_in_between():
    play = Play(p1=[stream("out", 60)], p2=[])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    await play.clock.sleep(30.0)
    begun = play.clock.now()
    data = await reply.stream.read()

    assert frame(data)["code"] == "stream_stalled"
    assert play.clock.now() - begun == pytest.approx(20.0)


# Keep-alive


async def test_silence_is_bridged_with_comments_between_events():
    play = Play({"streaming": Streaming(keepalive=2.0)}, p1=[stream("out", 5, "out", "end")], p2=[])
    reply = await play.ask(stream=True)

    pieces = [await reply.stream.read() for _ in range(5)]
    assert pieces == [b"out\n\n", KEEPALIVE_COMMENT, KEEPALIVE_COMMENT, b"out\n\n", b"end\n\n"]


async def test_an_event_that_drips_in_does_not_keep_the_client_in_silence():
    drops = [b"o", 1.5, b"u", 1.5, b"t", 1.5, b"out\n\n"]
    script = stream("out", 0.5, "end")
    script.pieces = (script.pieces[0], *drops, *script.pieces[1:])
    play = Play({"streaming": Streaming(keepalive=2.0)}, p1=[script], p2=[])
    reply = await play.ask(stream=True)

    pieces = [await reply.stream.read() for _ in range(5)]
    assert pieces == [b"out\n\n", KEEPALIVE_COMMENT, KEEPALIVE_COMMENT, b"out\n\n", b"end\n\n"]


async def test_our_own_comments_do_not_extend_the_time_that_a_stream_may_take():
    play = Play({"streaming": Streaming(keepalive=2.0)}, p1=[stream("out", 60)], p2=[])
    begun = play.clock.now()
    data = await text(await play.ask(stream=True))

    assert play.clock.now() - begun == pytest.approx(20.0)
    assert data.startswith(b"out\n\n" + KEEPALIVE_COMMENT)
    assert frame(data)["code"] == "stream_stalled"


async def test_without_a_keepalive_nothing_of_ours_is_sent():
    play = Play(p1=[stream("out", 19, "end")], p2=[])

    assert await text(await play.ask(stream=True)) == b"out\n\nend\n\n"


async def test_a_client_that_leaves_during_a_silence_leaves_no_task_behind():
    play = Play({"streaming": Streaming(keepalive=2.0)}, p1=[stream("out", 60)], p2=[])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    assert await reply.stream.read() == KEEPALIVE_COMMENT
    reply.stream.close()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert play.at_rest()


async def test_a_break_that_nobody_came_to_read_is_no_lost_exception():
    lost = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: lost.append(context["message"]))
    play = Play({"streaming": Streaming(keepalive=2.0)}, p1=[stream("out", 3, CUT)], p2=[])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    await reply.stream.read()
    await play.clock.sleep(5.0)  # the client does not take its comment while the provider breaks
    reply.stream.close()
    del reply, play
    await asyncio.sleep(0)
    gc.collect()

    assert lost == []


# The client leaves


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_a_stream_that_is_dropped_is_cancelled_and_no_failure(reads):
    play = Play(p1=[stream("out", "out", 5, "end")], p2=[])
    reply = await play.ask(stream=True)
    for _ in range(reads):
        await reply.stream.read()
    reply.stream.close()
    reply.stream.close()

    assert play.record.attempts[0].failure.error_class is ErrorClass.CANCELLED
    assert play.state("p1").breaker.failure_count == 0
    assert play.network.played[0].closed
    assert play.at_rest()
    assert await reply.stream.read() == b""


async def test_closing_after_the_end_changes_nothing():
    play = Play(p1=[stream("out", "end")], p2=[])
    reply = await play.ask(stream=True)
    await text(reply)
    reply.stream.close()

    assert play.record.attempts[0].failure is None
    assert play.state("p1").usage_count == 1


async def test_a_reader_that_is_cancelled_can_still_close_the_stream():
    play = Play(p1=[stream("out", 60)], p2=[])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    reading = asyncio.ensure_future(reply.stream.read())
    await asyncio.sleep(1.0)
    reading.cancel()
    await asyncio.wait({reading})
    reply.stream.close()

    assert reading.cancelled()
    assert play.at_rest()


async def test_no_timer_is_left_after_a_stream_but_the_one_that_all_requests_share():
    loop = asyncio.get_running_loop()
    play = Play(p1=[stream("out", "end"), stream("out", CUT), stream("out", 60)], p2=[])
    for reads in (3, 3, 1):
        reply = await play.ask(stream=True)
        for _ in range(reads):
            await reply.stream.read()
        reply.stream.close()

    left = [handle._callback.__qualname__ for handle in loop._scheduled if not handle.cancelled()]
    assert left == ["Alarm._look"]
