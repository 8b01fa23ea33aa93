"""The scripted outage: all is well, the primary dies, requests fail over, it comes back, and so does the traffic."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.demo.app import App
from proxy.demo.figures import Summary, summarise
from proxy.demo.provider import Behaviour
from proxy.demo.scene import Scene
from proxy.demo.screen import Row, Screen, View
from proxy.record import Record

RATE = 50.0
"""Questions per second."""
LOOKS = 5.0
"""Redraws per second."""
CALM, OUTAGE = 0.2, 0.35
"""Shares of the length before the outage and in it; the rest belongs to the return."""


@dataclass(frozen=True, slots=True)
class CutStream:
    """What the client of a stream was told when its provider hung up in the middle of the answer."""

    words: int
    """Read before the cut."""
    error: str
    """The code of the error frame; empty when there was none."""
    done: bool
    """Whether a `[DONE]` pretended that all was well."""

    @property
    def told(self) -> bool:
        """Whether the client knows."""
        return bool(self.error) and not self.done


@dataclass(slots=True)
class Story:
    """One run. `play` once."""

    scene: Scene
    screen: Screen
    length: float
    """Seconds."""
    app: App = field(init=False)
    act: str = "all is well"
    _began: float = field(init=False)
    _failed_over: bool = False

    def __post_init__(self) -> None:
        self.app = App(self.scene.base_url, self.scene.clock, RATE)
        self._began = self.scene.clock.now()
        self.scene.sidecar.engine.observers.append(self._observe)

    async def play(self) -> tuple[Summary, CutStream]:
        """Run the script under load, then show the one thing that no proxy can hide."""
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self.app.ask_steadily())
            drawing = tasks.create_task(self._draw())
            outage_at, recovered_at = await self._outage()
            self.app.stopped = True
            await asking
            drawing.cancel()
        cut = await self._cut_a_stream()
        return summarise(self.app.answers, outage_at, recovered_at), cut

    async def _outage(self) -> tuple[float, float]:
        """Break the primary and mend it; return when."""
        clock, primary = self.scene.clock, self.scene.primary
        self._tell(f"an app asks {RATE:g} times a second through the sidecar, every second time for a stream")
        await clock.sleep(self.length * CALM)

        self.act = "the primary is down"
        self._tell("THE PRIMARY DIES: it refuses connections")
        outage_at = clock.now()
        await primary.behave(Behaviour.DOWN)
        await clock.sleep(self.length * OUTAGE)

        self.act = "the primary is back"
        self._tell("THE PRIMARY COMES BACK; the sidecar is not told, it has to find out")
        recovered_at = clock.now()
        await primary.behave(Behaviour.HEALTHY)
        await clock.sleep(self.length * (1 - CALM - OUTAGE))
        return outage_at, recovered_at

    async def _cut_a_stream(self) -> CutStream:
        """Once words have been read they cannot be taken back: such a break is told, and never looks like an end."""
        await self.scene.primary.behave(Behaviour.CUT)
        async with self.app.session() as session:
            wanted = {"x-sidestep-provider": "primary"}
            _, reading = await self.app.ask(session, "a long question", stream=True, headers=wanted)
        await self.scene.primary.behave(Behaviour.HEALTHY)
        return CutStream(words=len(reading.text.split()), error=reading.error, done=reading.done)

    def _observe(self, records: Sequence[Record]) -> None:
        """Tell what the sidecar decided."""
        for record in records:
            self._tell_of(record)

    def _tell_of(self, record: Record) -> None:
        if record.failed_over and not self._failed_over:
            self._failed_over = True
            before, after, reason = record.failovers[0]
            self._tell(f"the first request fails over: {before} ({reason}) -> {after}")
        probing = any(step.attributes.get("sidestep.breaker.probe") for step in record.steps)
        if probing:
            self._tell("half open: one live request is let through to find out")
        for name, state in breaker_changes(record):
            again = "still down: " if probing and state == "open" else ""
            self._tell(f"{again}the breaker of the {name} is {state}")

    def _tell(self, text: str) -> None:
        self.screen.event(self.scene.clock.now() - self._began, text)

    async def _draw(self) -> None:
        while True:
            self.screen.show(self._view())
            await self.scene.clock.sleep(1 / LOOKS)

    def _view(self) -> View:
        now = self.scene.clock.now()
        answers = self.app.answers
        rows = []
        for provider in self.scene.providers:
            given = [answer for answer in answers if answer.provider == provider.name]
            recent = sum(answer.output_at > now - 1 for answer in given)
            breaker = self.scene.state(provider.name).breaker.state(now)
            rows.append(Row(provider.name, provider.behaviour.value, breaker.value, recent, len(given)))
        failovers = sum(answer.failed_over for answer in answers)
        errors = sum(bool(answer.error) for answer in answers)
        return View(now - self._began, self.length, self.act, rows, failovers, errors)


def breaker_changes(record: Record) -> list[tuple[str, str]]:
    """Every change of a breaker that this request brought about, as (provider, new state)."""
    return [
        (attempt.provider, str(event.attributes["sidestep.breaker.state"]))
        for attempt in record.attempts
        for event in attempt.events
        if event.name == "breaker.change"
    ]
