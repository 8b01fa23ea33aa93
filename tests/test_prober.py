"""Checks by the clock: when they are made, what is learnt from them, and what keeps them from being made."""

import asyncio
import heapq
import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.secrets import Secret
from proxy.config.snapshot import (
    Match,
    Policy,
    Provider,
    ProviderHealth,
    Rate,
    Route,
    Server,
    Snapshot,
    Telemetry,
)
from proxy.engine import Engine
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head
from proxy.prober import AT_ONCE, Finding, Prober
from proxy.resilience.health import Status
from proxy.transport.session import AttemptError, LateError

KEY = "sk-canary-check"
JSON = {"content-type": "application/json"}
REFUSED = AttemptError(Failure(error_class=ErrorClass.CONNECT, message="refused", sent=False))


class HandClock:
    """Time stands still until the test moves it."""

    def __init__(self, draw=0.5):
        self._now = 1000.0
        self._draw = draw
        self._sleepers = []
        self._order = itertools.count()

    def now(self):
        return self._now

    def wall(self):
        return 1_800_000_000.0 + self._now

    def draw(self):
        return self._draw

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def pass_by(self, seconds):
        """Let time pass, waking whoever is due on the way."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._now = end


async def settle():
    """Let everybody run who can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Answered:
    """An upstream answer that is read whole."""

    def __init__(self, status, body, headers):
        self.status, self.body = status, body
        self.head = Head(status, JSON | headers)
        self.closed = False

    async def read_all(self, limit):
        assert len(self.body) <= limit
        return self.body

    def close(self):
        self.closed = True


class Network:
    """Answers every host by what the test has set, and remembers who was asked."""

    def __init__(self, clock):
        self.clock = clock
        self.answers = {}
        self.asked = []
        self.times = []
        self.open = 0
        self.most_open = 0
        self.hold = None

    async def send(self, wire, *, connect, until, tls):
        assert connect > 0
        assert tls is not None
        host = wire.url.split("/")[2]
        self.asked.append((wire.method, wire.url))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.hold is not None:
                await self.held(until)
            answer = self.answers.get(host, (200, b"[]", {}))
            if isinstance(answer, Exception):
                raise answer
            assert wire.headers["accept-encoding"] == "identity"
            return Answered(*answer)
        finally:
            self.open -= 1

    async def held(self, until):
        try:
            async with asyncio.timeout(until - self.clock.now()):
                await self.hold.wait()
        except TimeoutError:
            raise LateError from None

    async def close(self):
        pass


def provider(name="p", health=None, **changes):
    settings = {"name": name, "dialect": "openai", "base_url": f"https://{name}.test/v1", "auth": "optional"}
    return Provider(**{**settings, "health": ProviderHealth(**(health or {})), **changes})


def snapshot(*providers):
    names = tuple(each.name for each in providers)
    return Snapshot(
        generation="g",
        server=Server(),
        telemetry=Telemetry(),
        providers={each.name: each for each in providers},
        routes=(Route(name="chat", match=Match(path="/v1/chat/completions"), providers=names, policy="p"),),
        policies={"p": Policy(name="p")},
    )


class Monitor:
    """A prober on a network of its own."""

    def __init__(self, *providers, draw=0.5):
        self.clock = HandClock(draw)
        self.network = Network(self.clock)
        self.engine = Engine(self.clock, transport=self.network)
        self.engine.adopt(snapshot(*providers))
        self.counted = []
        self.prober = Prober(self.engine, lambda *what: self.counted.append(what))

    def state(self, name="p", capability="chat"):
        return self.engine.registry.provider(self.engine.generation.snapshot.providers[name], capability)

    def status(self, name="p"):
        return self.state(name).health.status

    def answer(self, status, body=b"{}", name="p", **headers):
        self.network.answers[f"{name}.test"] = (status, body, headers)

    def refuse(self, name="p"):
        self.network.answers[f"{name}.test"] = REFUSED

    async def __aenter__(self):
        self.prober.start()
        await settle()
        return self

    async def __aexit__(self, *_):
        await self.prober.close()


# When


async def test_nothing_is_asked_at_the_start():
    async with Monitor(provider()) as monitor:
        assert monitor.network.asked == []


async def test_the_first_check_falls_within_the_first_interval_and_the_next_an_interval_later():
    async with Monitor(provider(), draw=0.5) as monitor:
        await monitor.clock.pass_by(29)
        assert len(monitor.network.asked) == 0
        await monitor.clock.pass_by(2)
        assert monitor.network.asked == [("GET", "https://p.test/v1/models")]
        await monitor.clock.pass_by(58)
        assert len(monitor.network.asked) == 1
        await monitor.clock.pass_by(2)
        assert len(monitor.network.asked) == 2


@given(draw=st.floats(0, 1, exclude_max=True))
def test_however_the_dice_fall_a_healthy_provider_is_asked_about_once_per_interval(draw):
    async def an_hour():
        async with Monitor(provider(health={"interval": 60.0}), draw=draw) as monitor:
            await monitor.clock.pass_by(3600)
            return len(monitor.network.asked)

    assert 54 <= asyncio.run(an_hour()) <= 68


async def test_a_dead_provider_is_asked_more_often():
    async with Monitor(provider()) as monitor:
        monitor.refuse()
        await monitor.clock.pass_by(30 + 4 * 15)
        assert len(monitor.network.asked) == 5


async def test_an_interval_of_zero_checks_only_when_told_to():
    async with Monitor(provider(health={"interval": 0.0})) as monitor:
        await monitor.clock.pass_by(86400)
        assert monitor.network.asked == []
        assert [result.finding for result in await monitor.prober.check("p")] == [Finding.OK]


async def test_a_provider_without_its_key_is_not_asked_and_a_forced_check_says_why():
    async with Monitor(provider(auth="required")) as monitor:
        await monitor.clock.pass_by(600)
        (result,) = await monitor.prober.check("p")
        assert (monitor.network.asked, result.finding) == ([], Finding.SKIPPED)
        assert "key" in result.error


async def test_one_that_the_operator_switched_off_is_asked_only_when_told_to_and_again_once_it_is_back():
    settings = provider()
    async with Monitor(settings) as monitor:
        monitor.engine.registry.overrides.enable(settings, enabled=False)
        await monitor.clock.pass_by(600)
        assert monitor.network.asked == []
        await monitor.prober.check("p")
        assert len(monitor.network.asked) == 1
        monitor.engine.registry.overrides.enable(settings, enabled=True)
        await monitor.clock.pass_by(66)
        assert len(monitor.network.asked) == 2


async def test_who_asked_to_be_left_alone_is_left_alone_until_then():
    async with Monitor(provider()) as monitor:
        monitor.state().cool_down.extend(monitor.clock.now(), 300.0, ErrorClass.RATE_LIMITED)
        (result,) = await monitor.prober.check("p")
        await monitor.clock.pass_by(299)
        assert (monitor.network.asked, result.finding) == ([], Finding.SKIPPED)
        await monitor.clock.pass_by(3)
        assert len(monitor.network.asked) == 1
    assert monitor.counted == [("p", "ok")], "what was not asked is not counted"


async def test_a_check_that_is_told_to_wait_waits_and_blames_nobody():
    async with Monitor(provider()) as monitor:
        monitor.answer(429, **{"retry-after": "600"})
        await monitor.clock.pass_by(30 + 590)
        assert len(monitor.network.asked) == 1
        assert monitor.status() is Status.UNKNOWN
        assert monitor.state().cool_down.remaining(monitor.clock.now()) == 0, "a check's wait is not traffic's"
        await monitor.clock.pass_by(20)
        assert len(monitor.network.asked) == 2


async def test_only_a_few_checks_are_made_at_once():
    many = [provider(f"p{number}") for number in range(10)]
    async with Monitor(*many) as monitor:
        monitor.network.hold = asyncio.Event()
        await monitor.clock.pass_by(31)
        assert monitor.network.open == AT_ONCE
        monitor.network.hold.set()
        await settle()
        assert (len(monitor.network.asked), monitor.network.most_open) == (10, AT_ONCE)


async def test_each_endpoint_is_asked_once_whatever_it_serves():
    several = provider(supports=frozenset({"chat", "tools", "embeddings", "images"}))
    pollinations = Provider(
        name="poll",
        dialect="pollinations",
        text_url="https://text.test/openai",
        image_url="https://image.test/prompt/",
        auth="optional",
        supports=frozenset({"chat", "images"}),
    )
    async with Monitor(several, pollinations) as monitor:
        await monitor.clock.pass_by(31)
        urls = sorted(url for _, url in monitor.network.asked)
    assert urls == ["https://image.test/models", "https://p.test/v1/models", "https://text.test/models"]


# What is learnt


async def test_an_answer_makes_a_provider_healthy_and_leaves_its_time():
    async with Monitor(provider()) as monitor:
        await monitor.clock.pass_by(31)
        health = monitor.state().health
        assert (health.status, health.last_check, health.last_error) == (Status.HEALTHY, 1_800_001_030.0, "")
        assert monitor.counted == [("p", "ok")]


async def test_a_dead_provider_is_avoided_after_as_many_checks_as_configured_and_back_after_as_many():
    async with Monitor(provider(health={"unhealthy_after": 2, "healthy_after": 3})) as monitor:
        monitor.refuse()
        await monitor.clock.pass_by(31)
        assert (monitor.status(), monitor.state().health.avoided) == (Status.DEGRADED, False)
        await monitor.clock.pass_by(15)
        assert (monitor.status(), monitor.state().health.avoided) == (Status.UNHEALTHY, True)
        monitor.answer(200)
        await monitor.clock.pass_by(30)
        assert monitor.state().health.avoided
        await monitor.clock.pass_by(15)
        assert (monitor.status(), monitor.state().health.avoided) == (Status.HEALTHY, False)
        assert monitor.state().health.recovered_at == 1000.0 + 30 + 4 * 15
        assert monitor.counted == [("p", "failed")] * 2 + [("p", "ok")] * 3


async def test_a_check_neither_opens_nor_closes_a_breaker():
    async with Monitor(provider()) as monitor:
        monitor.refuse()
        await monitor.clock.pass_by(600)
        assert monitor.state().breaker.failure_count == 0


async def test_a_check_that_hangs_ends_after_its_timeout():
    async with Monitor(provider(health={"timeout": 0.01})) as monitor:
        monitor.network.hold = asyncio.Event()
        (result,) = await monitor.prober.check("p")
        assert (result.finding, result.error) == (Finding.FAILED, "no answer to a check within 0.01 s")
        assert monitor.network.open == 0


async def test_a_provider_that_has_no_list_of_models_stays_as_it_was():
    async with Monitor(provider()) as monitor:
        monitor.answer(404)
        (result,) = await monitor.prober.check("p")
        assert (result.finding, result.health) == (Finding.INCONCLUSIVE, Status.UNKNOWN)


async def test_but_a_configured_path_that_is_not_there_is_a_failure():
    async with Monitor(provider(health={"path": "/health"})) as monitor:
        monitor.answer(404)
        assert (await monitor.prober.check("p"))[0].finding is Finding.FAILED


async def test_a_passing_check_ends_the_bench_of_a_refused_key():
    async with Monitor(provider(api_key=Secret(KEY))) as monitor:
        monitor.state().cool_down.extend(monitor.clock.now(), 300.0, ErrorClass.AUTH)
        await monitor.clock.pass_by(31)
        assert monitor.state().cool_down.remaining(monitor.clock.now()) == 0


@pytest.mark.parametrize(("key", "status"), [(Secret(KEY), 401), (None, 200)])
async def test_one_that_fails_or_did_not_need_the_key_does_not(key, status):
    async with Monitor(provider(api_key=key)) as monitor:
        monitor.answer(status)
        monitor.state().cool_down.extend(monitor.clock.now(), 300.0, ErrorClass.AUTH)
        await monitor.clock.pass_by(31)
        assert monitor.state().cool_down.remaining(monitor.clock.now()) == pytest.approx(269)


async def test_a_paid_check_obeys_the_rate_limit_of_traffic():
    health = {"allow_cost": True, "model": "m"}
    async with Monitor(provider(health=health, rate_limit={"chat": Rate(1, 3600.0)})) as monitor:
        findings = [(await monitor.prober.check("p"))[0].finding for _ in range(2)]
        assert findings[1] is Finding.SKIPPED
        assert monitor.network.asked == [("POST", "https://p.test/v1/chat/completions")]


async def test_a_forced_check_of_nobody_is_a_key_error():
    async with Monitor(provider()) as monitor:
        with pytest.raises(KeyError):
            await monitor.prober.check("q")


# What is told


async def test_only_a_change_is_worth_a_line(caplog):
    caplog.set_level(logging.INFO, "sidestep.health")
    async with Monitor(provider(health={"unhealthy_after": 1})) as monitor:
        await monitor.clock.pass_by(600)
        monitor.refuse()
        await monitor.clock.pass_by(600)
    lines = [(line.levelname, line.provider, line.before, line.after, line.error) for line in caplog.records]
    assert lines == [
        ("INFO", "p", "unknown", "healthy", ""),
        ("WARNING", "p", "healthy", "unhealthy", "refused"),
    ]


async def test_a_provider_that_quotes_our_key_does_not_get_it_told(caplog):
    async with Monitor(provider(api_key=Secret(KEY))) as monitor:
        monitor.answer(401, f'{{"error":{{"message":"bad key {KEY}"}}}}'.encode())
        (result,) = await monitor.prober.check("p")
        assert result.error == "bad key ***"
        assert KEY not in monitor.state().health.last_error + caplog.text + repr(result)


# Reload and end


async def test_a_reload_keeps_what_is_known_and_the_time_of_the_next_check():
    async with Monitor(provider()) as monitor:
        await monitor.clock.pass_by(31)
        monitor.engine.adopt(snapshot(provider(weight=5.0), provider("q")))
        monitor.prober.adopt()
        await monitor.clock.pass_by(28)
        assert monitor.status() is Status.HEALTHY
        assert [url for _, url in monitor.network.asked] == ["https://p.test/v1/models"]
        await monitor.clock.pass_by(3)
        urls = [url for _, url in monitor.network.asked]
        assert urls == ["https://p.test/v1/models", "https://q.test/v1/models"]


async def test_a_shorter_interval_counts_from_the_reload_on():
    async with Monitor(provider(health={"interval": 86400.0})) as monitor:
        monitor.engine.adopt(snapshot(provider(health={"interval": 10.0})))
        monitor.prober.adopt()
        await monitor.clock.pass_by(6)
        assert len(monitor.network.asked) == 1


async def test_what_is_no_longer_checked_is_no_longer_planned():
    async with Monitor(provider()) as monitor:
        await monitor.clock.pass_by(31)
        monitor.engine.adopt(snapshot(provider(health={"interval": 0.0})))
        monitor.prober.adopt()
        await monitor.clock.pass_by(600)
        assert len(monitor.network.asked) == 1
        assert monitor.state().health.next_check_in(monitor.clock.now()) is None


async def test_the_end_drops_a_check_under_way_and_leaves_no_task():
    before = asyncio.all_tasks()
    async with Monitor(provider()) as monitor:
        monitor.network.hold = asyncio.Event()
        await monitor.clock.pass_by(31)
        assert monitor.network.open == 1
    assert monitor.network.open == 0
    assert asyncio.all_tasks() == before
    assert monitor.status() is Status.UNKNOWN


async def test_it_can_end_without_ever_having_begun():
    await Monitor(provider()).prober.close()


async def test_a_mistake_of_ours_does_not_end_the_checks_in_silence(caplog):
    async with Monitor(provider()) as monitor:
        monitor.network.answers["p.test"] = LookupError("ours")
        await monitor.clock.pass_by(31)
    assert "health checks have ended" in caplog.text
