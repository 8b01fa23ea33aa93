"""Ask a second provider when the first shows no output for a while; whoever has something to say first is heard."""

import asyncio

from msgspec import structs

from proxy.clock import Clock
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call, Turn
from proxy.pipeline.stage import Handler, Turning
from proxy.pipeline.strategy import NobodyLeft
from proxy.record import Attempt
from proxy.resilience.hedging import hedge_delay, may_hedge

Turned = Reply | Failure

ASKED = Failure(error_class=ErrorClass.CANCELLED, message="is being asked")
"""Stands in the second turn's tried-set for the first provider, which is not to be chosen again."""


def hedge(second: Handler[Turned], clock: Clock) -> Turning:
    """Let a turn have a rival. `second` is another turn, from the choice of its provider on.

    The first turn runs where it always runs; only a hedge that is really made costs a task. The result is the winner's
    reply, or the first provider's failure once both have failed; the other's then stands in the tried-set already.
    """

    async def run(call: Call, following: Handler[Turned]) -> Turned:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        delay = _delay(call, turn, clock.now())
        if delay is None:
            return await following(call)
        if call.step:
            call.step.attributes = {"sidestep.hedge.delay_seconds": round(delay, 6)}
        race = _Race(call, turn, second, clock)
        timer = asyncio.get_running_loop().call_later(delay, race.begin)
        try:
            return await race.run(following)
        finally:
            timer.cancel()
            await race.end()

    return Turning("hedge", run)


def _delay(call: Call, turn: Turn, now: float) -> float | None:
    """Seconds after which this turn gets a rival; None when it gets none: nobody is there to ask, or may be asked."""
    settings = call.policy.hedge
    if settings is None or turn.last_chance or not turn.alternatives or call.attempts_left - 1 <= call.reserved:
        return None
    if not may_hedge(call.request, settings, replay=call.policy.retry.replay):
        return None
    return hedge_delay(settings, turn.state.window, now)


class _Race:
    """Two turns at once, of one request: the first has its call, the second a view of it that it can call its own."""

    def __init__(self, call: Call, turn: Turn, second: Handler[Turned], clock: Clock) -> None:
        self._call, self._turn = call, turn
        self._second, self._clock = second, clock
        self._view: Call | None = None
        self._task: asyncio.Task[Turned | None] | None = None
        self._first_runs = asyncio.timeout(None)
        """Ends the first turn from outside when the second has won; what asyncio's own time-outs are made of."""
        self._first_running = False
        self._winner: Turn | None = None
        self._begun = 0
        """Attempts made when the second was asked."""

    def begin(self) -> None:
        """The first was silent for long enough: ask a second, if the attempt cap and the retry budget have a call."""
        call, now = self._call, self._clock.now()
        if call.attempts_left <= call.reserved or not call.route_state.budget.spend(now, call.policy.retry.budget):
            return
        # Exactly one call, taken from the first turn, which goes on with what is left.
        call.attempts_left -= 1
        self._turn.alternatives -= 1
        call.racing = True
        view = self._view = structs.replace(
            call,
            attempts_left=1,
            reserved=0,
            tried={**call.tried, self._turn.provider.name: ASKED},
            windows=dict(call.windows),
            excluded=(),
            turn=None,
            step=None,
        )
        self._begun = len(call.record.attempts)
        call.note("hedge", now, {"sidestep.provider": self._turn.provider.name})
        self._task = asyncio.create_task(self._ask(view))

    async def run(self, following: Handler[Turned]) -> Turned:
        """Return the reply that came first, or the first provider's failure when there is none."""
        first: Turned = ASKED
        try:
            async with self._first_runs:
                self._first_running = True
                first = await following(self._call)
        except TimeoutError:
            if not self._first_runs.expired():
                raise
        finally:
            self._first_running = False
            self._call.racing = False
        if isinstance(first, Reply):
            self._call.outrun = False  # the second won in this very moment, and is too late
            self._winner = self._turn
            return first
        return await self._heard_second() or first

    async def end(self) -> None:
        """Close whoever was not heard, before the request ends: its attempt is to be settled by then."""
        task, view = self._task, self._view
        if task is None or view is None:
            return
        if self._winner is None or self._winner is not view.turn:
            view.outrun = self._winner is not None
            task.cancel()
            await asyncio.wait({task})
            result = None if task.cancelled() else task.result()
            if isinstance(result, Reply) and result.stream is not None:
                result.stream.close()
        self._tell(view)

    async def _ask(self, view: Call) -> Turned | None:
        """The second turn: it wins if the first still runs, or leaves the field to it. None: nobody could have it."""
        call = self._call
        result: Turned | None = None
        try:
            result = await self._second(view)
        except NobodyLeft:
            call.racing = False
        finally:
            view.end_step(self._clock.now())
        call.attempts_left += view.attempts_left
        if isinstance(result, Failure) and view.turn is not None:
            call.racing = False
            call.tried[view.turn.provider.name] = result
            call.windows[view.turn.provider.name] = view.turn.provider.context_window
        elif isinstance(result, Reply) and self._first_running:
            call.outrun = True
            self._first_runs.reschedule(self._clock.now())
        return result

    async def _heard_second(self) -> Reply | None:
        """Wait for the second turn, if there is one; its reply, or None."""
        task, view, call = self._task, self._view, self._call
        if task is None or view is None:
            return None
        view.racing = call.attempts_left > call.reserved and self._turn.alternatives > 0
        result = await task
        if not isinstance(result, Reply):
            return None
        self._winner = view.turn
        return result

    def _tell(self, view: Call) -> None:
        """Note in the record who won, and that the other took part."""
        record = self._call.record
        asked = record.attempts[self._begun :]
        second = next(
            (each for each in reversed(asked) if view.turn and each.provider == view.turn.provider.name), None
        )
        if second is None:
            return  # nobody was asked after all
        if self._winner is not None:
            record.provider = self._winner.provider.name
        name = self._turn.provider.name
        first = next((each for each in reversed(record.attempts) if each.provider == name), None)
        for turn, attempt in ((self._turn, first), (view.turn, second)):
            if attempt is not None:
                attempt.hedge = self._part(turn, attempt)

    def _part(self, turn: Turn | None, attempt: Attempt) -> str:
        if self._winner is not None and turn is self._winner:
            return "winner"
        failed = attempt.failure is not None and attempt.failure.error_class is not ErrorClass.CANCELLED
        return "failed" if failed or self._winner is None else "loser"
