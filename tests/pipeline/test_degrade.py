"""What is answered when every provider has failed."""

import json

import pytest
from staging import Play, fails, good, says

from proxy.config.snapshot import DegradeStep
from proxy.errors import AllProvidersFailed, DeadlineExceeded, ErrorClass, ProviderVerdict, RateLimited
from proxy.messages import Operation

STATIC = {"degrade": (DegradeStep(static="come back later"),)}
MODEL = {"degrade": (DegradeStep(model="small"),)}


async def test_a_static_answer_stands_in_when_every_provider_failed():
    play = Play(STATIC, p1=[says("server_error", 500)])
    reply = await play.ask()

    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "come back later"
    assert reply.headers["content-type"] == "application/json"
    assert (play.record.degraded, play.record.provider) == ("static", "")


async def test_a_static_answer_to_a_stream_is_a_stream():
    reply = await Play(STATIC, p1=[says("server_error", 500)]).ask(stream=True)

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("error_class", ["invalid_request", "content_policy"])
async def test_a_verdict_on_the_request_is_not_glossed_over(error_class):
    with pytest.raises(ProviderVerdict):
        await Play(STATIC, p1=[says(error_class, 400)]).ask()


async def test_a_passed_deadline_is_not_glossed_over():
    with pytest.raises(DeadlineExceeded):
        await Play(STATIC, p1=[good(delay=9.0)]).ask(timeout=1.0)


async def test_a_rate_limit_is_answered_too():
    play = Play(STATIC, p1=[says("rate_limited", 429, retry_after="60")])

    assert (await play.ask()).status == 200


async def test_an_endpoint_without_text_gets_the_original_error():
    with pytest.raises(RateLimited):
        await Play(STATIC, p1=[says("rate_limited", 429, retry_after="60")]).ask(operation=Operation.IMAGES)


async def test_another_model_is_asked_of_the_same_providers():
    play = Play(MODEL, {"p1": {"models": {"large": "l", "small": "s"}}}, p1=[says("server_error", 500), good()])
    reply = await play.ask("large")

    assert reply.body == b"fine"
    assert [attempt.model for attempt in play.record.attempts] == ["l", "s"]
    assert play.record.degraded == "model"


async def test_a_call_is_kept_back_for_the_other_model():
    scripts = {name: [says("server_error", 500)] for name in ("p2", "p3")}
    play = Play(MODEL | {"attempts": 3}, p1=[says("server_error", 500), good()], **scripts)
    await play.ask()

    assert play.network.calls == ["p1", "p2", "p1"]


async def test_another_route_lends_its_providers():
    steps = {"degrade": (DegradeStep(route="spare"),)}
    play = Play(steps, p1=[says("server_error", 500)], p2=[good()], spare=True)
    reply = await play.ask()

    assert reply.body == b"fine"
    assert play.network.calls == ["p1", "p2"]
    assert (play.record.degraded, play.record.provider, play.record.route) == ("route", "p2", "chat")


async def test_no_call_beyond_the_cap_is_made_for_another_model():
    play = Play(MODEL | {"attempts": 1}, p1=[says("server_error", 500)])

    with pytest.raises(AllProvidersFailed):
        await play.ask()
    assert play.network.calls == ["p1"]


async def test_the_steps_are_taken_in_order_until_one_answers():
    steps = (DegradeStep(model="small"), DegradeStep(static="sorry"), DegradeStep(model="never"))
    play = Play({"degrade": steps}, p1=[says("server_error", 500)] * 2)
    reply = await play.ask()

    assert b"sorry" in reply.body
    assert [event.attributes["sidestep.degrade"] for event in play.record.events if event.name == "degrade"] == [
        "model",
        "static",
    ]


async def test_when_no_step_answers_the_original_error_is_told():
    play = Play(MODEL, p1=[fails("connect", sent=False), says("rate_limited", 429, retry_after="60")])

    with pytest.raises(AllProvidersFailed) as caught:
        await play.ask()
    assert "connect" in caught.value.message
    assert play.record.attempts[0].failure.error_class is ErrorClass.CONNECT
    assert play.at_rest()


async def test_an_answer_needs_no_degradation():
    play = Play(STATIC, p1=[good()])
    await play.ask()

    assert play.record.degraded == ""
    assert not [event for event in play.record.events if event.name == "degrade"]
