"""What follows from the outcome of one upstream call, and that it follows once."""

import asyncio
import contextlib
import math

import pytest
from staging import Play, fails, good, hangs, says, stream, text

from proxy.config.snapshot import ErrorRule
from proxy.errors import ErrorClass, Failure, SidestepError
from proxy.pipeline.settlement import BENCH

COUNTED = {"connect", "timeout", "broken", "server_error", "overloaded", "soft_failure"}
UNMEASURED = {"cancelled", "shed", "invalid_request", "context_length", "content_policy", "unsupported"}
COOL_DOWNS = {
    ("rate_limited", None): 1.0,
    ("rate_limited", 7.0): 7.0,
    ("overloaded", None): 0.0,
    ("overloaded", 7.0): 7.0,
    ("quota", None): BENCH,
    ("quota", 7.0): 7.0,
    ("auth", None): BENCH,
    ("auth", 7.0): BENCH,
    ("server_error", 7.0): 0.0,
    ("invalid_request", 7.0): 0.0,
    ("unsupported", 7.0): 0.0,
}


async def settled(error_class, retry_after=None, policy=None):
    """The state of a provider after one attempt that ended so."""
    play = Play(policy, p1=[fails(error_class, retry_after=retry_after)], p2=[good()])
    with contextlib.suppress(SidestepError):  # some classes end the request, others let p2 answer
        await play.ask()
    assert play.at_rest()
    return play.state("p1"), play


def changes(record):
    """What the first attempt made of its provider's breaker."""
    events = [event for event in record.attempts[0].events if event.name == "breaker.change"]
    return [event.attributes["sidestep.breaker.state"] for event in events]


@pytest.mark.parametrize("error_class", list(ErrorClass))
async def test_a_failure_counts_against_the_breaker_as_the_table_says(error_class):
    state, _ = await settled(error_class)

    assert state.breaker.failure_count == (error_class in COUNTED)


@pytest.mark.parametrize("error_class", list(ErrorClass))
async def test_a_failure_lowers_the_success_rate_unless_it_tells_of_the_request(error_class):
    state, play = await settled(error_class)

    assert state.window.performance(play.clock.now()).requests == (error_class not in UNMEASURED)


@pytest.mark.parametrize(("error_class", "told"), COOL_DOWNS)
async def test_a_failure_cools_the_provider_down_as_the_table_says(error_class, told):
    state, play = await settled(error_class, told)

    assert state.cool_down.remaining(play.clock.now()) == pytest.approx(COOL_DOWNS[error_class, told])


@pytest.mark.parametrize("error_class", list(ErrorClass))
async def test_every_failure_is_written_down_with_its_class(error_class):
    state, play = await settled(error_class)
    attempt = play.record.attempts[0]

    assert attempt.failure.error_class is error_class
    assert attempt.ended >= attempt.started > 0
    assert state.last_error.startswith(f"{error_class}: ")


async def test_a_policy_may_keep_a_class_from_the_breaker():
    rule = {ErrorClass.SERVER_ERROR: ErrorRule(breaker=False)}
    state, _ = await settled("server_error", policy={"errors": rule})

    assert state.breaker.failure_count == 0


async def test_patience_doubles_with_every_refusal_that_names_no_time():
    play = Play(p1=[says("rate_limited", 429)] * 12)
    waits = []
    for _ in range(12):
        with pytest.raises(SidestepError):
            await play.ask()
        now = play.clock.now()
        waits.append(play.state("p1").cool_down.remaining(now))
        play.state("p1").cool_down.clear()

    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60])


async def test_a_success_makes_patience_short_again():
    play = Play(p1=[says("rate_limited", 429), says("rate_limited", 429), good(), says("rate_limited", 429)])
    for _ in range(2):
        with pytest.raises(SidestepError):
            await play.ask()
        play.state("p1").cool_down.clear()
    await play.ask()
    with pytest.raises(SidestepError):
        await play.ask()

    assert play.state("p1").cool_down.remaining(play.clock.now()) == pytest.approx(1.0)


async def test_an_unknown_model_is_remembered_and_the_providers_others_are_not_affected():
    play = Play(p1=[says("unsupported", 404), good()], p2=[good(), good()])
    for model in ("strange", "strange", "usual"):
        await play.ask(model)

    assert play.network.calls == ["p1", "p2", "p2", "p1"]


async def test_a_success_is_measured_and_counted():
    play = Play(p1=[good(delay=2.0)])
    await play.ask()
    seen = play.state("p1").window.performance(play.clock.now())

    assert (seen.requests, seen.success_rate, seen.average_response_time) == (1, 1.0, pytest.approx(2.0))
    assert play.state("p1").usage_count == 1
    assert play.record.attempts[0].failure is None


async def test_the_success_of_a_stream_is_counted_at_its_end_and_no_earlier():
    play = Play(p1=[stream("out", 1.0, "end")])
    reply = await play.ask(stream=True)
    state = play.state("p1")

    assert (state.usage_count, state.in_flight, play.record.attempts[0].ended) == (0, 1, 0.0)
    await text(reply)
    assert (state.usage_count, state.in_flight) == (1, 0)


async def test_three_failures_open_the_breaker_and_the_last_one_notes_it():
    play = Play(p1=[says("server_error", 500)] * 3, p2=[good()] * 4)
    for _ in range(4):
        await play.ask()

    assert play.network.calls.count("p1") == 3
    assert changes(play.records[2]) == ["open"]
    assert [changes(record) for record in play.records[:2]] == [[], []]


async def test_a_probe_that_succeeds_closes_the_breaker():
    play = Play(p1=[says("server_error", 500)] * 3 + [good(), good()])
    for _ in range(3):
        with pytest.raises(SidestepError):
            await play.ask()
    await play.clock.sleep(30.0)
    await play.ask()

    assert play.state("p1").breaker.opens_until is None
    assert changes(play.record) == ["closed"]


async def test_a_half_open_provider_gets_one_probe_at_a_time():
    play = Play(p1=[says("server_error", 500)] * 3 + [good(delay=2.0)], p2=[good()] * 4)
    for _ in range(3):
        await play.ask()
    await play.clock.sleep(30.0)
    await asyncio.gather(play.ask(), play.ask())

    assert play.network.calls[-2:] in (["p1", "p2"], ["p2", "p1"])


async def held(play):
    """The settlement of a stream that is under way."""
    reply = await play.ask(stream=True)
    return reply.stream._settlement


@pytest.mark.parametrize("first", ["succeed", "fail", "cancel"])
@pytest.mark.parametrize("second", ["succeed", "fail", "cancel"])
async def test_whatever_is_said_second_changes_nothing(first, second):
    play = Play(p1=[stream("out", 5.0, "end")])
    settlement = await held(play)
    failure = Failure(error_class=ErrorClass.BROKEN, message="m")
    ways = {"succeed": settlement.succeed, "fail": lambda: settlement.fail(failure), "cancel": settlement.cancel}
    state = play.state("p1")

    def outcome():
        now = play.clock.now()
        attempt = settlement.attempt
        return (
            (state.in_flight, state.usage_count, state.breaker.failure_count, state.breaker._probes),
            (state.window.performance(now).requests, attempt.failure, attempt.ended),
        )

    ways[first]()
    once = outcome()
    ways[second]()

    assert outcome() == once
    assert once[0][0] == 0


async def test_an_outcome_that_began_before_the_breaker_changed_says_nothing():
    play = Play(p1=[stream("out", 5.0, "end")] + [says("server_error", 500)] * 3, p2=[good()] * 3)
    old = await held(play)
    for _ in range(3):
        await play.ask()
    state = play.state("p1")
    until = state.breaker.opens_until
    old.succeed()

    assert until is not None
    assert state.breaker.opens_until == until


async def test_a_provider_benched_for_its_key_is_back_after_its_bench():
    play = Play(p1=[says("auth", 401), good()], p2=[good()] * 2)
    await play.ask()
    await play.ask()
    await play.clock.sleep(math.nextafter(BENCH, 0) + 1)
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p2", "p1"]


async def test_an_attempt_that_hangs_holds_its_place_until_its_time_is_up():
    play = Play(providers={"p1": {"timeout": 2.0}}, p1=[hangs()], p2=[good()])
    await play.ask()

    assert play.at_rest()
    assert play.record.attempts[0].ended - play.record.attempts[0].started == pytest.approx(2.0)
