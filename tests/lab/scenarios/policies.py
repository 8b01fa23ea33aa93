"""What a policy can add, under load and while providers break: hedging, a cache, degradation, keep-alive comments."""

import asyncio

from lab import schedules
from lab.history import Sent
from lab.playing import IDLE, configuration, telemetry
from lab.scenario import DOWN, scenario, scenarios_in
from lab.stage import Stage
from lab.upstream import Upstream

ADDED = "What a policy adds"
CALM = {"primary": {"timeout": "4s"}}
PATIENT = {"connect": "1s", "first_output": "4s", "idle": "4s", "total": "6s"}


def _all_answered(stage: Stage, sent: list[Sent]) -> None:
    for each in sent:
        stage.expect(each.answered, f"{each.nonce}: {each.status} {each.problem} {each.body[:120]!r}")


async def _counted(stage: Stage, name: str, **labels: str) -> float:
    return (await stage.ours.metrics()).sum(name, **labels)


# Hedging

DELAY = 0.1


@scenario(
    ADDED,
    "each costs the delay and not its time-out; the loser's call is closed, no provider is blamed",
    policy={"hedge": {"delay": f"{DELAY:g}s"}, "timeouts": PATIENT},
    **CALM,
    fast=True,
)
async def a_tenth_of_the_answers_hang_and_a_second_provider_is_asked(stage: Stage) -> None:
    stage.primary.schedule = schedules.share("hang", 0.1, seed=stage.seed)
    sent = await stage.storm()
    _all_answered(stage, sent)
    hung = sum(asked.fault == "hang" for asked in stage.primary.requests)
    won = await _counted(stage, "sidestep_hedged_attempts_total", provider=stage.names[1], part="winner")
    slowest = max(each.took for each in sent)
    stage.expect(won >= hung, f"{hung} hung, {won:.0f} were saved by the second provider")
    stage.expect(slowest < (1.0 if stage.history.timed else 3.0), f"one took {slowest:.2f} s")
    states = [await stage.breaker(place) for place in (0, 1)]
    stage.expect(states == ["closed", "closed"], f"a loser was blamed: {states}")
    stage.see(f"{hung} of {len(sent)} hung, the slowest answer after {slowest * 1000:.0f} ms")


@scenario(
    ADDED,
    "the second calls stay within the retry budget: slow providers are not asked twice as much",
    fault="latency:0.3",
    second="latency:0.3",
    policy={
        "hedge": {"delay": "50ms"},
        "timeouts": PATIENT,
        "retry": {"backoff": {"base": "5ms", "max": "20ms"}, "budget": {"ratio": "0%", "min": 1}},
    },
    **CALM,
)
async def everything_is_slow_and_hedged(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    sent = await stage.storm(workers=20)
    _all_answered(stage, sent)
    calls = len(stage.primary.requests) + len(stage.secondary.requests)
    allowed = len(sent) + 10 * (1 + (loop.time() - begun) // 10)  # one a second, over any ten seconds
    stage.expect(calls <= allowed, f"{calls} calls for {len(sent)} requests, {allowed:.0f} allowed")
    stage.see(f"{calls} calls for {len(sent)} requests")


# The cache


@scenario(
    ADDED,
    "one call for a question that many ask at once, none for those who ask it later; streams are replayed as streams",
    fault="latency:0.2",
    policy={"cache": {"ttl": "1m"}},
    **CALM,
    fast=True,
)
async def everybody_asks_the_same(stage: Stage) -> None:
    _all_answered(stage, await asyncio.gather(*(stage.ask("the same", stream=False) for _ in range(stage.requests))))
    stage.expect(len(stage.primary.requests) == 1, f"{len(stage.primary.requests)} calls for one question")
    stage.primary.fault = "status:500"
    later = [await stage.ask("the same") for _ in range(stage.requests)]
    _all_answered(stage, later)
    hits = sum(each.headers.get("x-sidestep-cache") == "hit" for each in later)
    stage.expect(hits == len(later), f"{hits} of {len(later)} were answered from memory")
    stage.expect(len(stage.primary.requests) == 1, "it was asked again")
    stage.primary.fault = "ok"
    streams = [await stage.ask("streamed", stream=True, temperature=0) for _ in range(3)]
    stage.history.uncounted = True
    _all_answered(stage, streams)
    stage.expect(len({each.text for each in streams}) == 1, "a replayed stream says something else")
    stage.expect(all(each.streamed for each in streams), "a stream was replayed as something else")
    del stage.history.sent[-2:]  # replays: not asked anew after their first token
    stage.see(f"2 calls for {2 * stage.requests + 3} requests")


@scenario(
    ADDED,
    "nothing that failed, was cut or was no answer is ever given again",
    policy={"cache": {"ttl": "1m"}, "breaker": {"failures": 1000, "min_requests": 1000}},
    primary={"timeout": "4s", "breaker": {"failures": 1000}},
    secondary={"breaker": {"failures": 1000}},
    fast=True,
)
async def bad_answers_and_a_cache(stage: Stage) -> None:
    stage.history.uncounted = True
    faults = ("status:500", "error_body", "empty_choices", "null_content", "not_json", "truncated", "cut:2", "stall:2")
    for fault in faults:
        for stream in (False, True):
            stage.primary.fault = stage.secondary.fault = fault
            nonce = f"{fault}-{'stream' if stream else 'plain'}"
            bad = await stage.ask(nonce, stream=stream)
            stage.expect(not bad.answered, f"{nonce} was taken for an answer")
            stage.history.sent.pop()  # the next one is another request, whatever its question says
            for upstream in (stage.primary, stage.secondary):
                upstream.requests.clear()
            stage.primary.fault = stage.secondary.fault = "ok"
            good = await stage.ask(nonce, stream=stream)
            stage.expect(good.answered, f"{nonce}, asked again: {good.status}")
            stage.expect(good.headers.get("x-sidestep-cache") == "miss", f"{nonce} was given again")
    stage.see(f"{2 * len(faults)} bad answers, none kept")


# Degradation

SORRY = "Please try again in a minute."


@scenario(
    ADDED,
    "the configured words, in the form that was asked for, at once",
    fault=DOWN,
    second=DOWN,
    policy={"degrade": [{"static": SORRY}]},
    fast=True,
)
async def every_provider_is_down_and_words_are_configured(stage: Stage) -> None:
    sent = await stage.storm()
    _all_answered(stage, sent)
    stage.expect(all(each.text == SORRY for each in sent), f"said {sent[0].text!r}")
    stage.expect(all(each.streamed == each.stream for each in sent), "streams and documents were mixed up")
    kinds = {each.headers.get("x-sidestep-degraded") for each in sent}
    stage.expect(kinds == {"static"}, f"marked as {kinds}")
    stage.see(f"{len(sent)} got the words")


@scenario(
    ADDED,
    "the last good answer to the same question, marked, with its age; other questions get the configured words",
    policy={"cache": {"ttl": "0s"}, "degrade": [{"stale_cache": {"max_age": "1h"}}, {"static": SORRY}]},
    **CALM,
    fast=True,
)
async def every_provider_goes_down_and_answers_were_kept(stage: Stage) -> None:
    questions = [(f"kept-{number}", number % 2 == 1) for number in range(10)]
    before = [await stage.ask(nonce, stream=stream) for nonce, stream in questions]
    _all_answered(stage, before)
    for upstream in (stage.primary, stage.secondary):
        await upstream.go_down()
    after = [await stage.ask(nonce, stream=stream) for nonce, stream in questions]
    _all_answered(stage, after)
    stage.expect([each.text for each in after] == [each.text for each in before], "not the answers that were kept")
    kinds = {each.headers.get("x-sidestep-degraded") for each in after}
    stage.expect(kinds == {"stale_cache"}, f"marked as {kinds}")
    stage.expect(all((each.headers.get("age") or "").isdigit() for each in after), "their age is not told")
    fresh = await stage.ask("never asked before")
    stage.expect(fresh.text == SORRY, f"another question got {fresh.text!r}")
    stage.see(f"{len(after)} old answers, the words for another question")


@scenario(
    ADDED,
    "the providers of the spare route answer, marked; no error",
    fault="status:500",
    second="hang",
    policy={"attempts": 6},
    secondary={"timeout": "300ms"},
)
async def every_provider_fails_and_a_route_is_spare(stage: Stage) -> None:
    async with Upstream("spare") as spare:
        documents, policy = configuration(every_provider_fails_and_a_route_is_spare, stage, telemetry(stage.ours))
        name = f"{stage.names[0]}-spare"
        first = documents["providers"][stage.names[0]]
        documents["providers"][name] = first | {"base_url": f"{spare.url}/v1", "timeout": "4s"}
        match = {"path": "/v1/chat/completions", "headers": {"x-never": "sent"}}
        documents["routes"].append({"name": "spare", "match": match, "providers": [name], "policy": "default"})
        await stage.ours.configure(documents, policy | {"degrade": [{"route": "spare"}]})
        sent = await stage.storm()
        _all_answered(stage, sent)
        stage.expect(all(each.text.startswith("spare:") for each in sent), "somebody else answered")
        kinds = {each.headers.get("x-sidestep-degraded") for each in sent}
        stage.expect(kinds == {"route"}, f"marked as {kinds}")
        stage.see(f"{len(sent)} answered by the spare route")


# Keep-alive comments


@scenario(
    ADDED,
    "comments come only between events; without them the bytes are the provider's",
    fault="sse_halves:0.2",
    policy={"streaming": {"keepalive": "80ms"}, "timeouts": PATIENT},
    **CALM,
    fast=True,
)
async def a_provider_pauses_within_and_between_its_events(stage: Stage) -> None:
    sent = await asyncio.gather(*(stage.ask(stream=True) for _ in range(min(20, stage.requests))))
    _all_answered(stage, sent)
    comments = 0
    for each in sent:
        blocks = each.body.decode().split("\n\n")
        ours = [block for block in blocks if block.startswith(":")]
        comments += len(ours)
        stage.expect(len(ours) >= 5, f"{each.nonce} got {len(ours)} comments in more than two seconds")
        torn = [block for block in blocks if block and not block.startswith((":", "data: "))]
        stage.expect(not torn, f"a comment within an event: {torn[:1]}")
    stage.see(f"{comments} comments in {len(sent)} streams")


@scenario(
    ADDED,
    "a dead stream is not kept alive: an error frame at `idle`",
    fault="stall:2",
    policy={"streaming": {"keepalive": "50ms"}},
    **CALM,
)
async def a_provider_stalls_between_our_comments(stage: Stage) -> None:
    stage.primary.interval = 0.02
    sent = await stage.ask(stream=True)
    stage.expect(sent.error is not None and not sent.done, f"ended as if it were whole: {sent.body[-80:]!r}")
    late = (sent.ended or 0) - (sent.last_at or 0)
    stage.expect(not stage.history.timed or late <= IDLE + 0.25, f"the frame came after {late:.2f} s")
    comments = sum(block.startswith(":") for block in sent.body.decode().split("\n\n"))
    stage.expect(comments >= 3, f"{comments} comments in half a second")
    stage.see(f"{comments} comments, the error frame after {late * 1000:.0f} ms")


SCENARIOS = scenarios_in(globals())
