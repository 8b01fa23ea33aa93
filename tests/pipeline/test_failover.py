"""From failures to the next provider, and to the one honest error when nobody is left."""

import asyncio

import pytest
from staging import Play, fails, good, hangs, says

from proxy.config.snapshot import Backoff, ErrorRule, Rate, RetryBudget, RetrySettings
from proxy.errors import (
    AllProvidersFailed,
    ClientError,
    DeadlineExceeded,
    ErrorClass,
    NoProviderAvailable,
    ProviderVerdict,
    RateLimited,
)
from proxy.messages import Operation

GOES_ON = ["connect", "timeout", "broken", "server_error", "overloaded", "rate_limited", "quota", "auth", "unsupported"]
GOES_ON += ["soft_failure", "shed"]
ENDS = ["content_policy", "invalid_request"]


async def ending(play, **fields):
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one is what the tests are about
        await play.ask(**fields)
    assert play.at_rest()
    return caught.value


# To the next provider


@pytest.mark.parametrize("error_class", GOES_ON)
async def test_after_this_failure_the_next_provider_answers(error_class):
    play = Play(p1=[fails(error_class)], p2=[good()])

    assert (await play.ask()).body == b"fine"
    assert play.network.calls == ["p1", "p2"]
    assert play.record.provider == "p2"
    assert play.at_rest()


@pytest.mark.parametrize("error_class", ENDS)
async def test_after_this_failure_no_other_provider_is_asked(error_class):
    play = Play(p1=[says(error_class, 400)], p2=[good()])

    assert isinstance(await ending(play), ProviderVerdict)
    assert play.network.calls == ["p1"]


async def test_a_policy_may_send_a_refused_prompt_elsewhere():
    rule = {ErrorClass.CONTENT_POLICY: ErrorRule(other_provider=True)}
    play = Play({"errors": rule}, p1=[says("content_policy", 400)], p2=[good()])

    assert (await play.ask()).body == b"fine"


async def test_an_error_status_and_an_error_under_200_are_the_same_failure():
    for script in (says("overloaded", 503), says("overloaded", 200)):
        play = Play(p1=[script], p2=[good()])
        await play.ask()
        assert play.record.failovers == [("p1", "p2", "overloaded")]


async def test_every_upstream_that_failed_is_closed():
    play = Play(p1=[says("server_error", 500)], p2=[says("soft_failure")], p3=[good()])
    await play.ask()

    assert all(script.closed or script.read_to_end for script in play.network.played)
    assert [script.closed for script in play.network.played] == [True, True, True]


async def test_no_more_calls_are_made_than_the_policy_allows():
    play = Play({"attempts": 2}, p1=[says("server_error", 500)], p2=[says("server_error", 500)], p3=[good()])

    assert isinstance(await ending(play), AllProvidersFailed)
    assert play.network.calls == ["p1", "p2"]


async def test_a_provider_is_repeated_when_enough_calls_are_left_for_the_others():
    play = Play(providers={"p1": {"retries": 1}}, p1=[says("server_error", 500), good()], p2=[])

    await play.ask()
    assert play.network.calls == ["p1", "p1"]
    assert [attempt.resend for attempt in play.record.attempts] == [0, 1]


async def test_a_repeat_never_eats_the_call_of_an_untried_candidate():
    play = Play({"attempts": 2}, {"p1": {"retries": 1}}, p1=[says("server_error", 500)], p2=[good()])

    await play.ask()
    assert play.network.calls == ["p1", "p2"]


async def test_nobody_repeats_what_could_not_be_reached_while_another_can_answer():
    play = Play(providers={"p1": {"retries": 2}}, p1=[fails("connect", sent=False)], p2=[good()])

    await play.ask()
    assert play.network.calls == ["p1", "p2"]


async def test_the_only_provider_is_repeated_when_it_could_not_be_reached():
    play = Play(providers={"p1": {"retries": 1}}, p1=[fails("connect", sent=False), good()])

    assert (await play.ask()).body == b"fine"


@pytest.mark.parametrize(("sent", "calls"), [(True, ["p1", "p2"]), (False, ["p1", "p1"])])
async def test_a_broken_exchange_is_repeated_only_if_nothing_was_sent(sent, calls):
    second = [] if sent else [good()]
    play = Play(providers={"p1": {"retries": 1}}, p1=[fails("broken", sent=sent), *second], p2=[good()])

    await play.ask()
    assert play.network.calls == calls


async def test_repeats_wait_as_the_backoff_says():
    retry = RetrySettings(backoff=Backoff(base=0.5, max=5.0, jitter="none"))
    play = Play(
        {"retry": retry},
        {"p1": {"retries": 2, "breaker": {"failures": 9}}},
        p1=[says("server_error", 500)] * 2 + [good()],
    )

    await play.ask()
    first, second, third = play.network.times
    assert (second - first, third - second) == (pytest.approx(0.5), pytest.approx(1.0))
    assert [attempt.waited for attempt in play.record.attempts] == [0.0, 0.5, 1.0]


async def test_no_repeat_is_made_that_the_deadline_would_cut_off():
    retry = RetrySettings(backoff=Backoff(base=5.0, max=5.0, jitter="none"))
    play = Play({"retry": retry}, {"p1": {"retries": 1}}, p1=[says("server_error", 500)])

    assert isinstance(await ending(play, timeout=3.0), AllProvidersFailed)


async def test_no_repeat_is_made_when_the_budget_is_spent():
    retry = RetrySettings(budget=RetryBudget(ratio=0.0, min=0.0))
    play = Play({"retry": retry}, {"p1": {"retries": 1}}, p1=[says("server_error", 500)])

    assert isinstance(await ending(play), AllProvidersFailed)
    assert play.network.calls == ["p1"]


async def test_a_spent_budget_does_not_keep_a_request_from_the_next_provider():
    retry = RetrySettings(budget=RetryBudget(ratio=0.0, min=0.0))
    play = Play({"retry": retry}, p1=[says("server_error", 500)], p2=[good()])

    assert (await play.ask()).body == b"fine"


async def test_no_repeat_is_made_at_a_provider_whose_breaker_has_opened():
    play = Play(providers={"p1": {"retries": 3, "breaker": {"failures": 2}}}, p1=[says("server_error", 500)] * 2)

    await ending(play)
    assert play.network.calls == ["p1", "p1"]


async def test_a_repeat_counts_against_our_own_rate_for_the_provider():
    rate = {"chat": Rate(count=1, period=60.0)}
    play = Play(providers={"p1": {"retries": 1, "rate_limit": rate}}, p1=[says("server_error", 500)])

    await ending(play)
    assert play.network.calls == ["p1"]


async def test_a_pinned_request_is_asked_of_one_provider_only():
    play = Play(p1=[says("server_error", 500)], p2=[good()])

    assert isinstance(await ending(play, pinned=True), AllProvidersFailed)
    assert play.network.calls == ["p1"]


@pytest.mark.parametrize("error_class", ["timeout", "broken"])
async def test_an_image_whose_fate_is_unknown_is_not_asked_for_again(error_class):
    play = Play(p1=[fails(error_class)], p2=[good()])

    assert isinstance(await ending(play, operation=Operation.IMAGES), AllProvidersFailed)
    assert play.network.calls == ["p1"]


async def test_an_image_that_was_never_asked_for_goes_to_the_next_provider():
    play = Play(p1=[fails("connect", sent=False)], p2=[good()])

    assert (await play.ask(operation=Operation.IMAGES)).body == b"fine"


async def test_a_dialect_that_cannot_say_it_costs_no_call():
    models = {"default": "inexpressible"}
    play = Play({"attempts": 1}, {"p1": {"models": models}}, p1=[], p2=[good()])

    assert (await play.ask()).body == b"fine"
    assert play.network.calls == ["p2"]


@pytest.mark.parametrize(("window", "asked"), [(None, False), (1000, False), (2000, False), (4000, True)])
async def test_a_prompt_that_did_not_fit_goes_only_to_a_larger_window(window, asked):
    windows = {"p1": {"context_window": 2000}, "p2": {"context_window": window}}
    play = Play(providers=windows, p1=[says("context_length", 400)], p2=[good()])
    if asked:
        await play.ask()
    else:
        assert isinstance(await ending(play), ProviderVerdict)

    assert ("p2" in play.network.calls) is asked


# The last one


async def test_when_nobody_else_is_left_a_short_wait_is_waited_and_the_provider_asked_again():
    play = Play(p1=[says("rate_limited", 429, retry_after="2"), good()])

    assert (await play.ask()).body == b"fine"
    assert play.network.times[1] - play.network.times[0] == pytest.approx(2.0)


async def test_of_several_the_one_that_is_ready_first_is_asked_again():
    play = Play(
        p1=[says("rate_limited", 429, retry_after="4")], p2=[says("rate_limited", 429, retry_after="2"), good()]
    )

    await play.ask()
    assert play.network.calls == ["p1", "p2", "p2"]


async def test_a_wait_longer_than_the_longest_backoff_is_the_clients_to_make():
    play = Play(p1=[says("rate_limited", 429, retry_after="30")])
    error = await ending(play)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 30.0
    assert play.network.calls == ["p1"]


async def test_a_wait_beyond_the_deadline_is_not_begun():
    play = Play(p1=[says("rate_limited", 429, retry_after="4")])

    assert isinstance(await ending(play, timeout=3.0), RateLimited)


async def test_the_last_is_not_asked_more_often_than_the_policy_allows():
    play = Play({"attempts": 2}, p1=[says("rate_limited", 429, retry_after="1")] * 2)

    assert isinstance(await ending(play), RateLimited)
    assert len(play.network.calls) == 2


# Endings

ENDINGS = {
    "all of them broke": ([fails("connect"), says("server_error", 500)], AllProvidersFailed, 502, False),
    "all of them are rate limited": ([says("rate_limited", 429, retry_after="60")] * 2, RateLimited, 429, None),
    "one is rate limited, one broke": (
        [says("rate_limited", 429, retry_after="60"), says("server_error", 500)],
        AllProvidersFailed,
        502,
        False,
    ),
    "none has the model": ([says("unsupported", 404)] * 2, ClientError, 404, False),
    "one judged the request": ([says("server_error", 500), says("invalid_request", 422)], ProviderVerdict, 422, False),
    "all are out of money": ([says("quota", 402)] * 2, AllProvidersFailed, 502, False),
    "we are out of descriptors": ([fails("shed", sent=False)] * 2, NoProviderAvailable, 503, None),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_the_one_honest_error_fits_what_the_providers_said(name):
    scripts, kind, status, should_retry = ENDINGS[name]
    play = Play(p1=[scripts[0]], p2=[scripts[1]])
    error = await ending(play)

    assert type(error) is kind
    assert (error.status, error.should_retry) == (status, should_retry)


async def test_a_request_that_nobody_may_serve_names_its_model():
    play = Play(providers={"p1": {"models": {"fast": "x"}}}, p1=[])
    error = await ending(play, model="slow")

    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert "slow" in error.message


async def test_disabled_and_unconfigured_providers_are_no_candidates():
    play = Play(providers={"p1": {"enabled": False}, "p2": {"auth": "required"}}, p1=[], p2=[])
    error = await ending(play)

    assert (error.status, error.code) == (503, "no_provider_available")
    assert "p1 is disabled" in error.message
    assert "p2 is unconfigured" in error.message


async def test_when_all_cool_down_the_soonest_recovery_is_told():
    play = Play(p1=[], p2=[])
    play.state("p1").cool_down.extend(play.clock.now(), 30.0, "rate_limited")
    play.state("p2").cool_down.extend(play.clock.now(), 12.0, "rate_limited")
    error = await ending(play)

    assert (type(error), error.retry_after) == (RateLimited, pytest.approx(12.0))


async def test_when_all_are_open_the_soonest_recovery_is_told():
    play = Play({"attempts": 9}, p1=[says("server_error", 500)] * 3, p2=[says("server_error", 500)] * 3)
    for _ in range(3):
        await ending(play)
    play.engine.registry.route("chat").last_chance_at = play.clock.now()
    error = await ending(play)

    assert (type(error), error.retry_after) == (NoProviderAvailable, pytest.approx(30.0))
    assert len(play.network.calls) == 6


async def test_our_own_rate_limit_is_told_as_one():
    rate = {"chat": Rate(count=1, period=60.0)}
    play = Play(providers={"p1": {"rate_limit": rate}}, p1=[good()])
    await play.ask()
    error = await ending(play)

    assert (type(error), error.retry_after) == (RateLimited, pytest.approx(60.0))


async def test_a_failure_of_our_own_tells_when_to_come_back():
    error = await ending(Play(p1=[fails("shed", sent=False, retry_after=1.0)]))

    assert (type(error), error.retry_after) == (NoProviderAvailable, 1.0)


async def test_a_recovery_is_told_beside_an_error_of_all():
    play = Play(p1=[says("overloaded", 503, retry_after="7")])
    error = await ending(play)

    assert (type(error), error.retry_after) == (AllProvidersFailed, 7.0)


# Deadline


async def test_the_total_deadline_ends_everything():
    play = Play(providers={"p1": {"timeout": 90.0}, "p2": {"timeout": 90.0}}, p1=[hangs()], p2=[hangs()])
    begun = play.clock.now()
    error = await ending(play)

    assert type(error) is DeadlineExceeded
    assert play.clock.now() - begun == pytest.approx(100.0)
    assert play.network.calls == ["p1", "p2"]


async def test_the_deadline_ends_a_wait_between_repeats_too():
    retry = RetrySettings(backoff=Backoff(base=4.0, max=4.0, jitter="none"))
    play = Play({"retry": retry}, {"p1": {"retries": 1}}, p1=[says("server_error", 500), hangs()])

    assert type(await ending(play, timeout=5.0)) is DeadlineExceeded


async def test_the_policys_deadline_counts_against_the_provider_that_used_it_up():
    play = Play(providers={"p1": {"timeout": 200.0}}, p1=[hangs()])
    await ending(play)

    assert play.state("p1").breaker.failure_count == 1
    assert play.record.attempts[0].failure.error_class is ErrorClass.TIMEOUT


async def test_a_tighter_deadline_of_the_clients_own_counts_against_nobody():
    play = Play(p1=[hangs()])
    error = await ending(play, timeout=3.0)

    assert type(error) is DeadlineExceeded
    assert play.state("p1").breaker.failure_count == 0
    assert play.record.attempts[0].failure.error_class is ErrorClass.CANCELLED


async def test_a_looser_deadline_of_the_clients_changes_nothing():
    play = Play(providers={"p1": {"timeout": 200.0}}, p1=[hangs()])
    begun = play.clock.now()
    await ending(play, timeout=1000.0)

    assert play.clock.now() - begun == pytest.approx(100.0)
    assert play.state("p1").breaker.failure_count == 1


async def test_a_provider_that_shows_nothing_in_its_time_is_left_for_the_next():
    play = Play(providers={"p1": {"timeout": 2.0}}, p1=[hangs()], p2=[good()])
    begun = play.clock.now()

    assert (await play.ask()).body == b"fine"
    assert play.clock.now() - begun == pytest.approx(2.0)
    assert play.record.attempts[0].failure.error_class is ErrorClass.TIMEOUT


# The client leaves


@pytest.mark.parametrize("after", [0.0, 0.5, 2.0, 4.5])
async def test_a_client_that_leaves_frees_everything_and_blames_nobody(after):
    retry = RetrySettings(backoff=Backoff(base=2.0, max=2.0, jitter="none"))
    settings = {"p1": {"retries": 1, "breaker": {"failures": 9}}, "p2": {}}
    play = Play({"retry": retry}, settings, p1=[says("server_error", 500), hangs()], p2=[])
    asking = asyncio.ensure_future(play.ask())
    await asyncio.sleep(after)
    asking.cancel()
    await asyncio.wait({asking})

    assert asking.cancelled()
    assert play.at_rest()
    assert play.state("p1").breaker.failure_count <= 1


async def test_a_client_that_leaves_gives_a_half_open_breaker_its_probe_back():
    play = Play(p1=[says("server_error", 500)] * 3 + [hangs(), good()])
    for _ in range(3):
        await ending(play)
    await asyncio.sleep(31.0)
    asking = asyncio.ensure_future(play.ask())
    await asyncio.sleep(1.0)
    asking.cancel()
    await asyncio.wait({asking})

    assert play.at_rest()
    assert (await play.ask()).body == b"fine"
