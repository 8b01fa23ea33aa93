"""Each strategy's distribution over 10,000 requests through the real engine and pipeline; only the wire is missing."""

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from lab.configuration import routes as routes_over
from lab.configuration import write
from lab.sidecar import chat

from proxy.config.load import load
from proxy.engine import Engine
from proxy.errors import ErrorClass, Failure
from proxy.messages import Head, Operation, Request
from proxy.record import Record
from proxy.transport.session import AttemptError

REQUESTS = 10_000
ANSWER = json.dumps({"choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}]}).encode()


@dataclass
class Clock:
    """Runs as the system's does, and jumps ahead when told to; its chance is seeded."""

    ahead: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def now(self):
        return time.monotonic() + self.ahead

    def wall(self):
        return time.time() + self.ahead

    def draw(self):
        return self.chance.random()

    def bits(self, count):
        return self.chance.getrandbits(count)

    async def sleep(self, seconds):
        self.ahead += seconds


@dataclass
class Answering:
    """The upstream answer of a `Wires`."""

    status: int = 200
    head: Head = field(default_factory=lambda: Head(200, {"content-type": "application/json"}))

    arrived = True

    async def read_all(self, limit):
        return ANSWER

    def close(self):
        pass


@dataclass
class Wires:
    """Stands in for the transport: answers at once, or after a latency that only the clock notices, or not at all."""

    clock: Clock
    calls: Counter = field(default_factory=Counter)
    latency: dict = field(default_factory=dict)
    down: set = field(default_factory=set)

    async def send(self, wire, *, connect, until, tls, traceparent):
        name = wire.url.split("/")[2].split(".")[0]
        self.calls[name] += 1
        self.clock.ahead += self.latency.get(name, 0.001)
        if name in self.down:
            raise AttemptError(Failure(error_class=ErrorClass.CONNECT, message="refused", sent=False))
        return Answering()


@dataclass
class World:
    engine: Engine
    wires: Wires
    clock: Clock

    async def ask(self, count):
        """Send that many requests; how many calls each provider got."""
        before = self.wires.calls.copy()
        body = json.dumps(chat("hello")).encode()
        for number in range(count):
            request = Request(
                id=str(number),
                operation=Operation.CHAT,
                path="/v1/chat/completions",
                body=body,
                document=chat("hello"),
                model="small",
                received=self.clock.now(),
            )
            record = Record(request, number + 1, 1, 2, self.clock.now(), 0.0)
            reply = await self.engine.handle(request, record)
            assert reply.body == ANSWER
        return {name: self.wires.calls[name] - before[name] for name in ("a", "b", "c")}


@pytest.fixture
def world(tmp_path):
    def make(strategy, **policy):
        names = {"a": 3, "b": 2, "c": 1}
        described = {
            name: {"dialect": "openai", "base_url": f"https://{name}.test/v1", "weight": weight, "auth": "optional"}
            | {"supports": ["chat"]}
            for name, weight in names.items()
        }
        timeouts = {"connect": "5s", "first_output": "30s", "idle": "60s", "total": "600s"}
        file = write(tmp_path, routes_over(described), {"strategy": strategy, "timeouts": timeouts, **policy})
        clock = Clock()
        wires = Wires(clock)
        engine = Engine(clock, transport=wires)
        engine.adopt(load(file, None, {}))
        return World(engine, wires, clock)

    return make


def near(count, share, of=REQUESTS):
    """Whether a count is within 2.5 % of all requests of its share: five standard deviations of a fair coin's."""
    return abs(count - share * of) <= 0.025 * of


async def test_primary_only_sends_everything_to_the_first(world):
    assert await world("primary_only").ask(REQUESTS) == {"a": REQUESTS, "b": 0, "c": 0}


async def test_round_robin_gives_everyone_the_same(world):
    counts = await world("round_robin").ask(REQUESTS)
    assert max(counts.values()) - min(counts.values()) <= 1


async def test_weighted_round_robin_follows_the_weights(world):
    counts = await world("weighted_round_robin").ask(REQUESTS)
    assert all(abs(counts[name] - REQUESTS * weight / 6) <= 2 for name, weight in {"a": 3, "b": 2, "c": 1}.items())


async def test_random_available_is_uniform(world):
    counts = await world("random_available").ask(REQUESTS)
    assert all(near(count, 1 / 3) for count in counts.values())


async def test_best_performance_prefers_the_fastest_and_keeps_looking_at_the_others(world):
    fast = world("best_performance")
    fast.wires.latency = {"a": 0.3, "b": 0.02, "c": 0.1}
    counts = await fast.ask(REQUESTS)
    assert counts["b"] > 0.9 * REQUESTS
    assert min(counts.values()) > 0.003 * REQUESTS, "or nobody would ever notice that they got faster"


async def test_best_performance_finds_out_who_has_become_the_fastest(world):
    turned = world("best_performance")
    turned.wires.latency = {"a": 0.3, "b": 0.02, "c": 0.1}
    await turned.ask(1000)
    turned.wires.latency = {"a": 0.3, "b": 0.5, "c": 0.1}
    await turned.ask(3000)
    counts = await turned.ask(1000)
    assert counts["c"] > 800


@pytest.mark.parametrize(
    ("strategy", "share"),
    [
        ("primary_only", 1.0),
        ("round_robin", 1 / 3),
        ("weighted_round_robin", 1 / 2),
        ("random_available", 1 / 3),
        ("best_performance", 0.05),
    ],
)
async def test_a_provider_that_was_down_gets_its_traffic_back_along_the_ramp(strategy, share, world):
    recovering = world(strategy, recovery={"ramp": "20s"}, breaker={"failures": 3, "open_for": "5s"})
    recovering.wires.down = {"a"}
    out = await recovering.ask(1000)
    assert out["a"] <= 4, "three failures, and perhaps a probe"
    recovering.wires.down = set()
    recovering.clock.ahead += 10
    early = await recovering.ask(500)
    recovering.clock.ahead += 60
    late = await recovering.ask(3000)
    assert early["a"] > 0, "the probe at least"
    if strategy != "best_performance":
        assert early["a"] < 0.5 * share * 500, "not everything at once"
        assert near(late["a"], share, 3000)
    else:
        assert late["a"] > 0.003 * 3000
