import asyncio

import aiohttp_retry.client
import pytest

from proxy.errors import ErrorClass, Failure
from proxy.transport.repeat import RepeatError, send_with_repeats
from proxy.transport.session import AttemptError


class Answered:
    """What aiohttp-retry looks at in a response."""

    method = "POST"
    status = 200


def error(message):
    return AttemptError(Failure(error_class=ErrorClass.SERVER_ERROR, message=message))


class Sends:
    """A turn that ends each call with the next outcome."""

    def __init__(self, *outcomes):
        self._outcomes = iter(outcomes)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        outcome = next(self._outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def waits(monkeypatch):
    """The waits that aiohttp-retry was told, none of which passes."""
    told = []

    class Told:
        @staticmethod
        async def sleep(seconds):
            told.append(seconds)

    monkeypatch.setattr(aiohttp_retry.client, "asyncio", Told)
    return told


async def test_an_answer_is_returned_after_one_call(waits):
    answer, sends = Answered(), Sends(Answered())
    sends = Sends(answer)

    assert await send_with_repeats(sends, repeats=3) is answer
    assert (sends.calls, waits) == (1, [])


@pytest.mark.parametrize("repeats", [0, 1, 3])
async def test_exactly_one_call_and_the_repeats_are_made_when_every_one_asks_for_another(waits, repeats):
    sends = Sends(*[RepeatError(error(f"call {number}"), 0.5) for number in range(10)])

    with pytest.raises(AttemptError, match=f"call {repeats}"):
        await send_with_repeats(sends, repeats=repeats)
    assert sends.calls == 1 + repeats


async def test_each_wait_is_the_one_that_was_asked_for(waits):
    sends = Sends(RepeatError(error("a"), 0.25), RepeatError(error("b"), 1.5), RepeatError(error("c"), 0.0), Answered())
    await send_with_repeats(sends, repeats=3)

    assert waits == [0.25, 1.5, 0.0]


async def test_a_failure_that_asks_for_no_repeat_ends_it(waits):
    sends = Sends(RepeatError(error("a"), 0.1), error("b"), Answered())

    with pytest.raises(AttemptError, match="b"):
        await send_with_repeats(sends, repeats=5)
    assert sends.calls == 2


async def test_an_error_status_is_not_repeated_by_the_library_itself(waits):
    answer = Answered()
    answer.status = 503
    sends = Sends(answer, Answered())

    assert await send_with_repeats(sends, repeats=3) is answer


async def test_a_mistake_is_not_repeated(waits):
    sends = Sends(RuntimeError("a bug"), Answered())

    with pytest.raises(RuntimeError):
        await send_with_repeats(sends, repeats=3)
    assert sends.calls == 1


async def test_a_cancellation_goes_through_a_call():
    begun = asyncio.Event()

    async def send():
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(send_with_repeats(send, repeats=3))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()


async def test_a_cancellation_goes_through_a_wait():
    begun = asyncio.Event()

    async def send():
        assert not begun.is_set()
        begun.set()
        raise RepeatError(error("a"), 3600.0)

    task = asyncio.ensure_future(send_with_repeats(send, repeats=3))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
