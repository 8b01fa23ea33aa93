"""Keep to as many calls at a time as a provider is to get: take a place, wait for one a little, or leave it be."""

import asyncio

from proxy.clock import Clock
from proxy.config.snapshot import Concurrency
from proxy.errors import ErrorClass, Failure
from proxy.messages import Body, Reply
from proxy.pipeline.call import Call
from proxy.pipeline.stage import Handler, Turning
from proxy.resilience.concurrency import Places


def concurrency(clock: Clock) -> Turning:
    """Hold a place for the whole turn, its repeats included, and for a stream until it is closed.

    Strategy leaves out providers without a free place as long as another one can answer; who is sent here all the same
    may wait. Nothing that was true of the provider before the wait is relied on after it.
    """

    async def run(call: Call, following: Handler[Reply | Failure]) -> Reply | Failure:
        turn = call.turn
        assert turn is not None  # noqa: S101  strategy runs before
        settings, places = turn.provider.concurrency, turn.state.places
        if settings is None:
            return await following(call)
        if not places.take(settings):
            begun = clock.now()
            found = await _wait(places, settings)
            if call.step:
                call.step.attributes = {"sidestep.queue.waited": round(clock.now() - begun, 6)}
            if not found:
                return Failure(error_class=ErrorClass.SHED, message="our own limit on calls at a time", sent=False)
        handed_on = False
        try:
            if turn.state.cool_down.remaining(clock.now()) > 0:
                return Failure(error_class=ErrorClass.SHED, message="the provider wants to be left alone", sent=False)
            result = await following(call)
            if isinstance(result, Reply) and result.stream is not None:
                result.stream = _Held(result.stream, places, settings)
                handed_on = True
            return result
        finally:
            if not handed_on:
                places.give_back(settings)

    return Turning("concurrency", run)


async def _wait(places: Places, settings: Concurrency) -> bool:
    """Stand in the queue for at most `settings.wait` seconds; say whether a place came of it.

    The request's deadline and a client that leaves end the wait as a cancellation, which frees the place in the queue.
    """
    called = asyncio.Event()
    waiter = places.join(called.set, settings)
    if waiter is None:
        return False
    try:
        async with asyncio.timeout(settings.wait) as scope:
            await called.wait()
    except TimeoutError:
        if not scope.expired():
            raise
        if waiter.granted:  # in the very moment in which the wait ended
            return True
        places.leave(waiter, settings)
        return False
    except BaseException:
        places.leave(waiter, settings)
        raise
    return True


class _Held:
    """A stream that keeps its place at the provider until it is closed."""

    __slots__ = ("_places", "_settings", "_stream", "flow", "read")

    def __init__(self, stream: Body, places: Places, settings: Concurrency) -> None:
        self._stream = stream
        self._places: Places | None = places
        self._settings = settings
        self.read, self.flow = stream.read, stream.flow

    @property
    def ended(self) -> bool:
        return self._stream.ended

    @property
    def aborted(self) -> bool:
        return self._stream.aborted

    def interrupt(self) -> None:
        self._stream.interrupt()

    def close(self) -> None:
        self._stream.close()
        places, self._places = self._places, None
        if places is not None:
            places.give_back(self._settings)
