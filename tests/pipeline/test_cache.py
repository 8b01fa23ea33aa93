"""An answer given again, and a question asked once for many."""

import asyncio

import pytest
from staging import Play, event, good, hangs, says, stream, text

from proxy.config.snapshot import Cache, DegradeStep, Rate, StaleCache, Streaming
from proxy.errors import AllProvidersFailed, DeadlineExceeded, ErrorClass, Failure
from proxy.transport.session import AttemptError

CACHED = {"cache": Cache(ttl=60.0)}
ABLE = {"p1": {"supports": frozenset({"chat", "tools"})}}
BROKEN = AttemptError(Failure(error_class=ErrorClass.BROKEN, message="cut"))


def results(play):
    return [record.cache for record in play.records]


async def asked_at_once(play, count, **fields):
    """Start that many identical requests; the tasks, once all of them wait."""
    tasks = [asyncio.create_task(play.ask(**fields)) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


# Again


async def test_the_same_question_is_answered_without_a_provider():
    play = Play(CACHED, p1=[good()])
    first = await play.ask()
    await asyncio.sleep(59)
    second = await play.ask()

    assert (second.body, second.headers) == (first.body, first.headers)
    assert results(play) == ["miss", "hit"]
    assert (play.record.provider, play.record.attempts, play.record.age) == ("p1", [], 59.0)


async def test_an_answer_that_is_too_old_is_not_given_again():
    play = Play(CACHED, p1=[good("old"), good("new")])
    await play.ask()
    await asyncio.sleep(60)

    assert (await play.ask()).body == b"new"
    assert results(play) == ["miss", "miss"]


async def test_another_question_has_another_answer():
    play = Play(CACHED, p1=[good("one"), good("two")])

    assert [(await play.ask(document={"q": each})).body for each in (1, 2, 1)] == [b"one", b"two", b"one"]


async def test_without_a_cache_in_the_policy_every_request_is_asked():
    play = Play(p1=[good(), good()])
    await play.ask()
    await play.ask()

    assert len(play.network.calls) == 2
    assert results(play) == ["", ""]


@pytest.mark.parametrize("changes", [{"tools": True}, {"pinned": True}])
async def test_some_requests_pass_the_cache_by(changes):
    play = Play(CACHED, ABLE, p1=[good(), good()])
    await play.ask(**changes)
    await play.ask(**changes)

    assert len(play.network.calls) == 2
    assert results(play) == ["", ""]


async def test_a_failure_is_not_kept():
    play = Play(CACHED, p1=[says("server_error", 500), good()])
    with pytest.raises(AllProvidersFailed):
        await play.ask()

    assert (await play.ask()).body == b"fine"


async def test_an_answer_cut_at_its_length_is_not_kept():
    play = Play(CACHED, p1=[good("cut"), good()])

    assert [(await play.ask()).body for _ in range(2)] == [b"cut", b"fine"]


@pytest.mark.parametrize("step", [DegradeStep(static="sorry"), DegradeStep(model="small")])
async def test_what_stood_in_for_an_answer_is_not_kept(step):
    play = Play(CACHED | {"degrade": (step,)}, p1=[says("server_error", 500), good(), good("itself")])
    await play.ask("large", document={"model": "large"})
    play.network._scripts["p1"] = iter([good("itself")])

    assert (await play.ask("large", document={"model": "large"})).body == b"itself"


async def test_a_failover_s_answer_is_kept_with_the_name_of_who_gave_it():
    play = Play(CACHED, p1=[says("server_error", 500)], p2=[good()])
    await play.ask()
    await play.ask()

    assert (play.record.cache, play.record.provider, play.record.failovers) == ("hit", "p2", [])


# Streams


async def test_a_stream_is_replayed_as_a_stream():
    play = Play(CACHED, p1=[stream("role", "out", 0.2, "out", "end")])
    first = await text(await play.ask(stream=True))
    again = await play.ask(stream=True)

    assert again.body == first
    assert again.headers["content-type"].startswith("text/event-stream")
    assert results(play) == ["miss", "hit"]


async def test_a_plain_question_does_not_get_a_stream_s_answer():
    play = Play(CACHED, p1=[stream("out", "end"), good()])
    await text(await play.ask(stream=True))

    assert (await play.ask()).body == b"fine"


@pytest.mark.parametrize("end", [[], [BROKEN], ["bad"]])
async def test_a_stream_that_did_not_end_well_is_not_kept(end):
    play = Play(CACHED, p1=[stream("out", *end), stream("out", "end")])
    await text(await play.ask(stream=True))
    assert await text(await play.ask(stream=True)) == event("out") + event("end")


async def test_a_stream_whose_client_left_is_not_kept():
    play = Play(CACHED, p1=[stream("out", 1.0, "end"), stream("out", "end")])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    reply.stream.close()
    await text(await play.ask(stream=True))

    assert results(play) == ["miss", "miss"]
    assert play.at_rest()


async def test_a_stream_too_large_to_keep_reaches_its_client_all_the_same():
    play = Play({"cache": Cache(ttl=60.0, max_bytes=1024)}, p1=[stream("out" * 400, "end"), stream("out", "end")])

    assert len(await text(await play.ask(stream=True))) > 1200
    await text(await play.ask(stream=True))
    assert results(play) == ["miss", "miss"]


async def test_keep_alives_of_one_client_are_no_part_of_another_one_s_answer():
    quiet = {"streaming": Streaming(keepalive=1.0)}
    play = Play(CACHED | quiet, p1=[stream("out", 1.5, "end")])

    assert b": keep-alive" in await text(await play.ask(stream=True))
    assert (await play.ask(stream=True)).body == event("out") + event("end")


# Once for many


async def test_identical_requests_at_the_same_time_are_one_call():
    play = Play(CACHED, p1=[good(delay=3.0)])
    replies = await asyncio.gather(*(play.ask() for _ in range(100)))

    assert [reply.body for reply in replies] == [b"fine"] * 100
    assert play.network.calls == ["p1"]
    assert sorted(results(play)) == ["miss"] + ["shared"] * 99
    assert play.record.shared_wait == 3.0
    assert play.at_rest()


async def test_answers_are_shared_even_when_none_is_kept():
    play = Play({"cache": Cache(ttl=0.0)}, p1=[good(delay=3.0), good()])
    await asyncio.gather(*(play.ask() for _ in range(10)))
    await play.ask()

    assert len(play.network.calls) == 2


async def test_different_questions_do_not_wait_for_each_other():
    play = Play(CACHED, p1=[good("one", delay=3.0), good("two", delay=3.0)])
    begun = play.clock.now()
    await asyncio.gather(*(play.ask(document={"q": each}) for each in range(2)))

    assert play.clock.now() - begun == 3.0


async def test_streams_ask_for_themselves():
    play = Play(CACHED, p1=[stream("out", "end"), stream("out", "end")])
    replies = await asyncio.gather(*(play.ask(stream=True) for _ in range(2)))
    for reply in replies:
        await text(reply)

    assert len(play.network.calls) == 2


async def test_when_the_client_of_the_one_that_asks_leaves_another_one_asks():
    play = Play(CACHED, p1=[hangs(), good(delay=1.0)])
    leader, *followers = await asked_at_once(play, 5)
    leader.cancel()
    replies = await asyncio.gather(*followers)

    assert [reply.body for reply in replies] == [b"fine"] * 4
    assert play.network.calls == ["p1", "p1"]
    assert play.at_rest()


async def test_a_hundred_clients_that_leave_one_after_the_other_fail_nobody():
    play = Play(CACHED, p1=[*[hangs()] * 100, good()])
    tasks = await asked_at_once(play, 101)
    for task in tasks[:-1]:
        task.cancel()
        await asyncio.sleep(0.1)

    assert (await tasks[-1]).body == b"fine"
    assert play.at_rest()


async def test_when_the_one_that_asks_fails_another_one_asks_for_the_rest():
    play = Play(CACHED, p1=[says("server_error", 500, retry_after=None), good(delay=1.0)])
    leader, *followers = await asked_at_once(play, 20)

    with pytest.raises(AllProvidersFailed):
        await leader
    assert {(await each).body for each in followers} == {b"fine"}
    assert len(play.network.calls) == 2


async def test_nobody_waits_for_one_failure_after_the_other():
    """A dead provider takes its time-out; in turn, the last of ten requests would hear of it after ten of them."""
    play = Play(CACHED, {"p1": {"breaker": {"failures": 1000}}}, p1=[hangs()] * 10)
    begun = play.clock.now()
    endings = await asyncio.gather(*(play.ask() for _ in range(10)), return_exceptions=True)

    assert {type(each) for each in endings} == {AllProvidersFailed}
    assert play.clock.now() - begun == 30.0  # two waited for in vain, and its own
    assert play.at_rest()


async def test_an_answer_that_is_not_to_be_kept_is_not_shared_either():
    play = Play(CACHED, p1=[good("cut", delay=1.0) for _ in range(5)])
    await asyncio.gather(*(play.ask() for _ in range(5)))

    assert len(play.network.calls) == 5


async def test_a_follower_waits_no_longer_than_its_own_deadline():
    play = Play(CACHED, p1=[good(delay=8.0)])
    leader = asyncio.create_task(play.ask())
    await asyncio.sleep(1)
    with pytest.raises(DeadlineExceeded):
        await play.ask(timeout=2.0)

    assert play.clock.now() == leader.get_loop().time() == 1003.0
    assert (await leader).body == b"fine"


async def test_when_the_one_that_asks_runs_out_of_time_another_one_asks():
    play = Play(CACHED, p1=[hangs(), good()])
    leader = asyncio.create_task(play.ask(timeout=1.0))
    await asyncio.sleep(0.5)

    assert (await play.ask()).body == b"fine"
    with pytest.raises(DeadlineExceeded):
        await leader


# A reload


async def test_answers_outlive_a_reload():
    play = Play(CACHED, p1=[good()])
    await play.ask()
    play.engine.adopt(play._snapshot(None))

    assert (await play.ask()).body == b"fine"
    assert play.record.cache == "hit"


async def test_answers_are_forgotten_when_a_reload_takes_the_cache_away():
    play = Play(CACHED, p1=[good()])
    await play.ask()
    assert len(play.engine.registry.route("chat").answers) == 1
    play.policy = Play(p1=[]).policy
    play.engine.adopt(play._snapshot(None))

    assert len(play.engine.registry.route("chat").answers) == 0


# Stale answers


STALE = CACHED | {"degrade": (DegradeStep(stale_cache=StaleCache(max_age=3600.0)), DegradeStep(static="sorry"))}


async def test_an_old_answer_stands_in_when_every_provider_failed():
    play = Play(STALE, p1=[good(), says("server_error", 500)], p2=[says("overloaded", 503)])
    await play.ask()
    await asyncio.sleep(600)
    reply = await play.ask()

    assert reply.body == b"fine"
    assert (play.record.degraded, play.record.cache, play.record.age) == ("stale_cache", "stale", 600.0)
    assert (play.record.provider, len(play.record.attempts)) == ("p1", 2)


async def test_an_old_stream_stands_in_for_a_stream():
    play = Play(STALE, p1=[stream("out", "end"), says("server_error", 500)])
    await text(await play.ask(stream=True))
    await asyncio.sleep(600)

    assert (await play.ask(stream=True)).body == event("out") + event("end")


async def test_an_answer_too_old_even_for_that_leaves_it_to_the_next_step():
    play = Play(STALE, p1=[good(), says("server_error", 500)])
    await play.ask()
    await asyncio.sleep(3600)
    await play.ask()

    assert play.record.degraded == "static"


@pytest.mark.parametrize("changes", [{"tools": True}, {"document": {"q": "another"}}])
async def test_a_question_that_was_not_answered_before_goes_on_to_the_next_step(changes):
    play = Play(STALE, ABLE, p1=[good(), says("server_error", 500)])
    await play.ask()
    await asyncio.sleep(60)
    await play.ask(**changes)

    assert play.record.degraded == "static"


async def test_a_rate_limit_is_no_reason_to_send_an_app_away_that_has_been_answered_before():
    play = Play(STALE, {"p1": {"rate_limit": {"chat": Rate(1, 3600.0)}}}, p1=[good()])
    await play.ask()
    await asyncio.sleep(60)

    assert (await play.ask()).body == b"fine"
    assert play.record.attempts == []
