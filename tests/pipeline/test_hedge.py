"""A second provider, asked when the first is silent for a while."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from staging import Play, VirtualLoop, event, fails, good, hangs, says, stream, text

from proxy.config.snapshot import Concurrency, DegradeStep, Hedge, Quantile, RetryBudget, RetrySettings
from proxy.errors import AllProvidersFailed, DeadlineExceeded, ProviderVerdict
from proxy.messages import Operation

HEDGED = {"hedge": Hedge(delay=1.0)}
ABLE = {name: {"supports": frozenset({"chat", "tools"})} for name in ("p1", "p2")}


def parts(play):
    return [(attempt.provider, attempt.hedge) for attempt in play.record.attempts]


def classes(play):
    return [attempt.failure.error_class if attempt.failure else "ok" for attempt in play.record.attempts]


def hedges(play):
    """Whose silence was the reason for a hedge."""
    return [event.attributes["sidestep.provider"] for event in play.record.events if event.name == "hedge"]


# Who wins


async def test_when_the_first_stalls_the_second_answers_after_the_delay():
    play = Play(HEDGED, p1=[hangs()], p2=[good(delay=0.5)])
    begun = play.clock.now()

    assert (await play.ask()).body == b"fine"
    assert play.clock.now() - begun == 1.5
    assert parts(play) == [("p1", "loser"), ("p2", "winner")]
    assert (play.record.provider, play.record.failovers, hedges(play)) == ("p2", [], ["p1"])
    assert play.at_rest()


async def test_a_first_that_answers_before_the_delay_costs_no_second_call():
    play = Play(HEDGED, p1=[good(delay=0.9)], p2=[])
    await play.ask()

    assert play.network.calls == ["p1"]
    assert parts(play) == [("p1", "")]


async def test_a_first_that_answers_after_the_delay_still_wins_when_it_is_faster():
    play = Play(HEDGED, p1=[good(delay=1.2)], p2=[good("late", delay=5.0)])

    assert (await play.ask()).body == b"fine"
    assert parts(play) == [("p1", "winner"), ("p2", "loser")]
    assert (play.record.provider, play.record.failovers) == ("p1", [])
    assert play.at_rest()


@pytest.mark.parametrize("winner", ["p1", "p2"])
async def test_the_loser_is_nobody_s_failure(winner):
    slow = {"p1": 1.2, "p2": 9.0} if winner == "p1" else {"p1": 9.0, "p2": 0.2}
    play = Play(HEDGED, **{name: [good(delay=delay)] for name, delay in slow.items()})
    await play.ask()
    (loser,) = {"p1", "p2"} - {winner}

    (attempt,) = [each for each in play.record.attempts if each.provider == loser]
    assert (attempt.failure.error_class, attempt.failure.message) == ("cancelled", "another provider was faster")
    assert attempt.ended == play.clock.now()
    assert play.state(loser).breaker.failure_count == 0
    assert play.state(loser).window.performance(play.clock.now()).requests == 0
    assert play.state(loser).last_error == ""


async def test_the_loser_s_silence_is_remembered_as_a_lower_bound():
    play = Play(HEDGED, p1=[hangs()], p2=[good(delay=0.5)])
    await play.ask()

    assert play.state("p1").window.performance(play.clock.now()).first_output_p50 == pytest.approx(1.5, rel=0.05)


async def test_an_answer_whose_head_came_but_not_its_end_can_lose_too():
    play = Play(HEDGED, p1=[stream("role", 9.0, "out", "end")], p2=[stream("out", "end")])
    reply = await play.ask(stream=True)

    assert await text(reply) == event("out") + event("end")
    assert play.network.played[0].closed
    assert play.at_rest()


async def test_the_first_output_wins_and_not_the_first_byte():
    play = Play(HEDGED, p1=[stream("role", 2.0, "out", "end")], p2=[stream("role", 5.0, "out", "end")])

    assert await text(await play.ask(stream=True)) == event("role") + event("out") + event("end")
    assert parts(play) == [("p1", "winner"), ("p2", "loser")]
    assert play.network.played[1].closed
    assert play.at_rest()


async def test_a_stream_that_won_goes_on_as_any_other():
    play = Play(HEDGED, p1=[hangs()], p2=[stream("role", "out", 15.0, "out", "end")])
    reply = await play.ask(stream=True)

    assert await text(reply) == event("role") + event("out") + event("out") + event("end")
    assert classes(play) == ["cancelled", "ok"]
    assert play.at_rest()


async def test_a_client_that_leaves_the_winner_s_stream_closes_it():
    play = Play(HEDGED, p1=[hangs()], p2=[stream("out", 15.0, "end")])
    reply = await play.ask(stream=True)
    await reply.stream.read()
    reply.stream.close()

    assert play.network.played[1].closed
    assert play.record.attempts[1].failure.message == "the client left"
    assert play.at_rest()


async def test_two_answers_in_the_same_moment_are_one_reply():
    play = Play(HEDGED, p1=[good("one", delay=2.0)], p2=[good("two", delay=1.0)])
    reply = await play.ask()

    named = {b"one": "p1", b"two": "p2"}[reply.body]
    assert play.record.provider == named
    assert sorted(part for _, part in parts(play)) == ["loser", "winner"]
    assert dict(parts(play))[named] == "winner"
    assert play.at_rest()


async def test_two_streams_in_the_same_moment_leave_none_open():
    play = Play(HEDGED, p1=[stream("role", 2.0, "out", "end")], p2=[stream("role", 1.0, "out", "end")])
    reply = await play.ask(stream=True)

    assert await text(reply) == event("role") + event("out") + event("end")
    assert all(script.closed or script.read_to_end for script in play.network.played)
    assert play.at_rest()


# When one fails, or both


async def test_a_first_that_fails_before_the_delay_is_a_failover_and_no_hedge():
    play = Play(HEDGED, p1=[says("server_error", 500)], p2=[good()])
    await play.ask()

    assert parts(play) == [("p1", ""), ("p2", "")]
    assert play.record.failovers == [("p1", "p2", "server_error")]


async def test_when_the_first_fails_the_second_is_waited_for():
    play = Play(HEDGED, p1=[says("server_error", 500, retry_after=None)], p2=[good(delay=3.0)], p3=[])
    play.network._scripts["p1"] = iter([fails("broken", delay=2.0)])
    begun = play.clock.now()

    assert (await play.ask()).body == b"fine"
    assert play.clock.now() - begun == 4.0
    assert parts(play) == [("p1", "failed"), ("p2", "winner")]
    assert play.record.failovers == [("p1", "p2", "broken")]
    assert play.state("p1").breaker.failure_count == 1


async def test_when_the_second_fails_the_first_is_waited_for():
    play = Play(HEDGED, p1=[good(delay=3.0)], p2=[says("server_error", 500)], p3=[])

    assert (await play.ask()).body == b"fine"
    assert parts(play) == [("p1", "winner"), ("p2", "failed")]
    assert play.record.provider == "p1"


async def test_when_both_fail_the_next_one_is_asked_and_none_of_them_again():
    play = Play(HEDGED, p1=[fails("broken", delay=3.0)], p2=[fails("broken", delay=0.5)], p3=[good()])

    assert (await play.ask()).body == b"fine"
    assert play.network.calls == ["p1", "p2", "p3"]
    assert parts(play) == [("p1", "failed"), ("p2", "failed"), ("p3", "")]
    assert play.at_rest()


@pytest.mark.parametrize("second", [0.999, 1.0, 1.001])
async def test_two_failures_in_the_same_moment_are_both_remembered(second):
    play = Play(HEDGED, p1=[fails("broken", delay=2.0)], p2=[fails("broken", delay=second)], p3=[good()])

    assert (await play.ask()).body == b"fine"
    assert play.network.calls == ["p1", "p2", "p3"]
    assert play.at_rest()


async def test_when_all_fail_the_error_names_all_of_them():
    play = Play(HEDGED, p1=[fails("broken", delay=3.0)], p2=[fails("broken", delay=9.0)])
    with pytest.raises(AllProvidersFailed, match=r"asked: .*p1"):
        await play.ask()

    assert {attempt.provider for attempt in play.record.attempts} == {"p1", "p2"}
    assert play.at_rest()


@pytest.mark.parametrize("verdict_by", ["p1", "p2"])
async def test_a_verdict_on_the_request_by_either_is_the_end_of_it(verdict_by):
    verdict, broken = says("invalid_request", 400, retry_after=None), fails("broken", delay=5.0)
    verdict.delay = 2.0
    scripts = {"p1": [broken], "p2": [broken]} | {verdict_by: [verdict]}
    play = Play(HEDGED, **scripts, p3=[good()])

    with pytest.raises(ProviderVerdict):
        await play.ask()
    assert play.network.calls == ["p1", "p2"]


async def test_the_first_is_not_repeated_while_the_second_is_asked():
    play = Play(HEDGED, {"p1": {"retries": 3}}, p1=[fails("server_error", delay=2.0)], p2=[good(delay=3.0)])

    assert (await play.ask()).body == b"fine"
    assert play.network.calls == ["p1", "p2"]


async def test_a_client_that_leaves_ends_both():
    play = Play(HEDGED, p1=[hangs()], p2=[hangs()])
    task = asyncio.create_task(play.ask())
    await asyncio.sleep(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert classes(play) == ["cancelled", "cancelled"]
    assert {attempt.failure.message for attempt in play.record.attempts} == {"the client left"}
    assert play.at_rest()


async def test_a_client_that_leaves_in_the_moment_of_the_hedge_leaves_nothing_behind():
    play = Play(HEDGED, p1=[hangs()], p2=[hangs()])
    task = asyncio.create_task(play.ask())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(1001.0, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert play.at_rest()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_leaves_while_only_the_second_runs_ends_it():
    play = Play(HEDGED, p1=[fails("broken", delay=2.0)], p2=[hangs()])
    task = asyncio.create_task(play.ask())
    await asyncio.sleep(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert classes(play) == ["broken", "cancelled"]
    assert play.at_rest()


async def test_the_total_deadline_ends_both():
    play = Play(HEDGED, p1=[hangs()], p2=[hangs()])
    with pytest.raises(DeadlineExceeded):
        await play.ask(timeout=3.0)

    assert play.clock.now() == 1003.0
    assert play.at_rest()


# Within the limits


async def test_no_more_calls_are_made_than_the_policy_allows():
    play = Play(HEDGED | {"attempts": 2}, p1=[hangs()], p2=[hangs()], p3=[good()])
    with pytest.raises(AllProvidersFailed):
        await play.ask()

    assert play.network.calls == ["p1", "p2"]


async def test_a_single_call_is_not_hedged():
    play = Play(HEDGED | {"attempts": 1}, p1=[good(delay=5.0)], p2=[])
    await play.ask()

    assert play.network.calls == ["p1"]


async def test_a_degradation_s_turn_may_be_hedged_too():
    policy = HEDGED | {"degrade": (DegradeStep(model="small"),), "attempts": 6}
    failed = says("server_error", 500)
    play = Play(policy, p1=[failed, hangs()], p2=[failed, good()])

    assert (await play.ask()).body == b"fine"
    assert parts(play) == [("p1", ""), ("p2", ""), ("p1", "loser"), ("p2", "winner")]
    assert play.at_rest()


async def test_what_is_kept_back_for_a_degradation_is_not_spent_on_a_hedge():
    policy = HEDGED | {"attempts": 2, "degrade": (DegradeStep(model="small"),)}
    play = Play(policy, p1=[good(delay=5.0)], p2=[])
    await play.ask()

    assert play.network.calls == ["p1"]


async def test_without_retry_budget_nothing_is_hedged():
    retry = RetrySettings(budget=RetryBudget(ratio=0.0, min=0.1))  # one in ten seconds
    play = Play(HEDGED | {"retry": retry}, p1=[good(delay=5.0)] * 2, p2=[good(delay=9.0)])
    await asyncio.gather(play.ask(), play.ask())

    assert play.network.calls == ["p1", "p1", "p2"]


async def test_a_lone_provider_has_nobody_to_be_hedged_with():
    play = Play(HEDGED, p1=[good(delay=5.0)])
    await play.ask()

    assert hedges(play) == []


async def test_a_second_that_became_unusable_meanwhile_is_not_asked():
    play = Play(HEDGED, p1=[good(delay=5.0)], p2=[])
    task = asyncio.create_task(play.ask())
    await asyncio.sleep(0.5)
    play.state("p2").cool_down.extend(play.clock.now(), 60.0, "quota")

    assert (await task).body == b"fine"
    assert parts(play) == [("p1", "")]
    assert play.at_rest()


async def test_a_second_without_a_free_place_is_not_waited_for():
    busy = {"p2": {"concurrency": Concurrency(max=1, queue=5, wait=9.0)}}
    play = Play(HEDGED, busy, p1=[good(delay=5.0)], p2=[])
    task = asyncio.create_task(play.ask())
    await asyncio.sleep(0.5)
    play.state("p2").places.take(busy["p2"]["concurrency"])

    assert (await task).body == b"fine"
    assert play.state("p2").places.waiting == 0


async def test_the_loser_gives_its_place_back():
    limited = {"p1": {"concurrency": Concurrency(max=1)}}
    play = Play(HEDGED, limited, p1=[hangs()], p2=[good()])
    await play.ask()

    assert play.state("p1").places.held == 0


async def test_requests_with_tools_are_hedged_only_when_the_policy_says_so():
    for tools, calls in ((False, ["p1"]), (True, ["p1", "p2"])):
        play = Play({"hedge": Hedge(delay=1.0, tools=tools)}, ABLE, p1=[good(delay=5.0)], p2=[good(delay=9.0)])
        await play.ask(tools=True)
        assert play.network.calls == calls


@pytest.mark.parametrize("changes", [{"pinned": True}, {"operation": Operation.IMAGES}])
async def test_some_requests_are_never_at_two_providers(changes):
    play = Play(HEDGED, p1=[good(delay=5.0)], p2=[])
    await play.ask(**changes)

    assert play.network.calls == ["p1"]


async def test_a_quantile_waits_until_enough_is_known():
    play = Play({"hedge": Hedge(delay=Quantile.P95)}, p1=[*[good(delay=0.2)] * 20, good(delay=9.0)], p2=[good()])
    for _ in range(20):
        await play.ask()
        assert hedges(play) == []
    begun = play.clock.now()
    await play.ask()

    assert hedges(play) == ["p1"]
    assert play.clock.now() - begun == pytest.approx(0.2, rel=0.05)


async def test_the_hedge_is_a_step_between_the_choice_and_the_gates():
    play = Play(HEDGED, p1=[good()], p2=[])
    await play.ask()
    names = [step.name for step in play.record.steps]

    assert names[names.index("strategy") :] == ["strategy", "hedge", "rate_limit", "breaker"]
    assert play.record.steps[names.index("hedge")].attributes == {"sidestep.hedge.delay_seconds": 1.0}


async def test_without_hedging_there_is_no_such_step():
    play = Play(p1=[good()], p2=[])
    await play.ask()

    assert "hedge" not in [step.name for step in play.record.steps]


# Whatever happens

MOMENTS = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
ENDINGS = st.one_of(
    st.builds(lambda delay: ("good", delay), MOMENTS),
    st.builds(lambda delay: ("fails", delay), MOMENTS),
    st.builds(lambda delay: ("streams", delay), MOMENTS),
    st.builds(lambda delay: ("breaks", delay), MOMENTS),
    st.just(("hangs", 0.0)),
)


def script(ending, *, streaming):
    kind, delay = ending
    if kind == "hangs":
        return hangs()
    if kind == "fails":
        return fails("broken", delay=delay)
    if kind == "breaks":
        return stream("role", delay, "bad")
    return stream("role", delay, "out", 0.5, "end") if streaming else good(delay=delay)


async def one_request(play, *, streaming, leaves_at):
    """Ask and read to the end, or leave in the middle of it."""

    async def ask():
        reply = await play.ask(stream=streaming)
        if reply.stream is not None:
            try:
                await text(reply)
            finally:
                reply.stream.close()

    task = asyncio.create_task(ask())
    if leaves_at is not None:
        asyncio.get_running_loop().call_later(leaves_at, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()):
        assert isinstance(error, AllProvidersFailed), error
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=150)
@given(
    st.tuples(ENDINGS, ENDINGS, ENDINGS),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])),
    st.integers(1, 4),
)
def test_nothing_is_left_open_and_no_call_is_one_too_many(endings, streaming, leaves_at, attempts):
    async def scene():
        names = ("p1", "p2", "p3")
        play = Play(
            HEDGED | {"attempts": attempts},
            **{name: [script(each, streaming=streaming)] for name, each in zip(names, endings, strict=True)},
        )
        await one_request(play, streaming=streaming, leaves_at=leaves_at)
        assert play.at_rest()
        assert len(play.network.calls) <= attempts
        assert sum(part == "winner" for _, part in parts(play)) <= 1
        assert all(attempt.ended for attempt in play.record.attempts)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
