"""The rules of failover, seen from outside: what headers say, whom a client prefers, what a request may cost."""

import asyncio
import re

import pytest
from lab.configuration import provider, routes
from lab.fault import status
from lab.replies import ours, served_by
from lab.sidecar import running

# Headers


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_answer_says_who_gave_it_and_how(stream, p1, pair):
    async with running(pair) as sidecar:
        straight = await sidecar.chat("a", stream=stream, headers={"x-request-id": "mine-1"})
        p1.fault = "status:500"
        moved = await sidecar.chat("b", stream=stream)
    assert ours(straight) == {"provider": "p1", "attempts": "1", "failover": "false", "route": "chat"}
    assert ours(moved) == {"provider": "p2", "attempts": "2", "failover": "true", "route": "chat"}
    assert straight.headers.get("x-request-id") == "mine-1"
    assert re.fullmatch(r"[0-9a-f]{32}", moved.headers.get("x-request-id"))
    assert re.fullmatch(r"[0-9a-f]{12}", moved.headers.get("x-sidestep-generation"))
    assert re.fullmatch(r"proxy;dur=[\d.]+, upstream;dur=[\d.]+", moved.headers.get("server-timing"))


async def test_an_error_says_the_same_and_every_rung_of_the_ladder(p1, p2, pair):
    p1.fault, p2.fault = "status:500", "html"
    async with running(pair) as sidecar:
        response = await sidecar.chat("a", headers={"x-request-id": "mine-2"})
    assert response.status == 502
    assert ours(response) == {"provider": "", "attempts": "2", "failover": "true", "route": "chat"}
    assert response.headers.get("x-should-retry") == "false"
    told = response.json()["error"]
    assert (told["type"], told["code"], told["param"]) == ("server_error", "all_providers_failed", None)
    assert told["sidestep"]["request_id"] == "mine-2"
    rungs = [(rung["provider"], rung["class"], rung["status"]) for rung in told["sidestep"]["attempts"]]
    assert rungs == [("p1", "server_error", 500), ("p2", "soft_failure", 200)]


async def test_our_own_headers_and_the_client_s_credentials_do_not_reach_a_provider(p1, pair):
    sent = {
        "x-sidestep-provider": "p1",
        "x-sidestep-timeout": "3",
        "Authorization": "Bearer app",
        "Cookie": "a=b",
        "X-Forwarded-For": "1.2.3.4",
    }
    async with running(pair) as sidecar:
        await sidecar.chat("a", headers=sent)
    names = {name.lower() for name, _ in p1.requests[0].headers}
    expected = {"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "traceparent"}
    assert names == expected


# Preference, deadline, caps


async def test_a_preferred_provider_is_asked_first_and_is_no_veto(p1, p2, pair):
    wish = {"x-sidestep-provider": "p2"}
    async with running(pair) as sidecar:
        granted = await sidecar.chat("a", headers=wish)
        p2.fault = "status:500"
        moved = await sidecar.chat("b", headers=wish)
        unknown = await sidecar.chat("c", headers={"x-sidestep-provider": "nobody"})
    assert [served_by(one) for one in (granted, moved, unknown)] == ["p2", "p1", "p1"]
    assert ours(moved)["failover"] == "true"


async def test_the_client_s_deadline_covers_all_attempts_together(p1, p2, pair):
    p1.fault = p2.fault = "hang"
    async with running(pair, timeouts={"connect": "100ms", "first_output": "300ms", "total": "60s"}) as sidecar:
        begun = asyncio.get_running_loop().time()
        response = await sidecar.chat("a", headers={"x-sidestep-timeout": "0.4"})
        took = asyncio.get_running_loop().time() - begun
    assert response.status == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert 0.4 <= took < 1.5
    assert ours(response)["attempts"] == "2"


async def test_a_request_costs_no_more_than_its_attempts(p1, p2):
    p1.fault = p2.fault = "status:500"
    pair = routes({"p1": provider(p1, retries=2), "p2": provider(p2, retries=2)})
    async with running(pair, attempts=3, breaker={"failures": 100, "min_requests": 1000}) as sidecar:
        response = await sidecar.chat("a")
    assert (len(p1.requests), len(p2.requests)) == (2, 1)
    assert ours(response)["attempts"] == "3"


@pytest.mark.parametrize(("attempts", "calls"), [(2, (1, 1)), (3, (2, 1)), (4, (3, 1)), (6, (3, 3))])
async def test_repeats_leave_a_call_for_every_candidate_that_was_not_asked(attempts, calls, p1, p2):
    p1.fault = p2.fault = "status:500"
    pair = routes({"p1": provider(p1, retries=2 if attempts > 2 else 1), "p2": provider(p2, retries=2)})
    if attempts == 2:
        pair["providers"]["p2"]["retries"] = 1
    async with running(pair, attempts=attempts, breaker={"failures": 100, "min_requests": 1000}) as sidecar:
        await sidecar.chat("a")
    assert (len(p1.requests), len(p2.requests)) == calls


async def test_a_repeat_on_the_same_provider_may_be_all_that_is_needed(p1, p2):
    p1.schedule = ["status:500"]
    async with running(routes({"p1": provider(p1, retries=1), "p2": p2})) as sidecar:
        response = await sidecar.chat("a")
    assert ours(response) == {"provider": "p1", "attempts": "2", "failover": "false", "route": "chat"}
    assert not p2.requests


# The class table, where it says no


def refusal(code):
    return status(400, {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": code}})


async def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window(p1, p2):
    p1.fault = refusal("context_length_exceeded")
    for window, wanted in {None: 400, 1000: 400, 9000: 200}.items():
        declared = {} if window is None else {"context_window": window}
        pair = routes({"p1": provider(p1, context_window=4000), "p2": provider(p2, **declared)})
        async with running(pair) as sidecar:
            response = await sidecar.chat("a")
        assert response.status == wanted, window
        if wanted == 400:
            assert response.json()["error"]["code"] == "context_length_exceeded"
    assert len(p2.requests) == 1


async def test_what_moderation_refused_is_asked_elsewhere_only_if_the_policy_says_so(p1, p2, pair):
    p1.fault = refusal("content_policy_violation")
    async with running(pair) as sidecar:
        assert (await sidecar.chat("a")).status == 400
    assert not p2.requests
    async with running(pair, errors={"content_policy": {"other_provider": True}}) as sidecar:
        assert served_by(await sidecar.chat("a")) == "p2"


async def test_a_request_that_may_have_been_billed_is_not_replayed_when_the_policy_forbids_it(p1, p2, pair):
    p1.fault = "reset"
    async with running(pair, retry={"replay": "never"}) as sidecar:
        assert (await sidecar.chat("a")).status == 502
    assert not p2.requests
