"""The manager over a backend that is made up: how many calls it makes at once, and when it makes none."""

import asyncio

import pytest

from proxy import AIProviderManager
from proxy.manager.backend import Answer

HELLO = [{"role": "user", "content": "hello"}]


class Counting:
    """Answers only when it is told to, and counts who waits."""

    def __init__(self):
        self.waiting = 0
        self.answered = 0
        self.most = 0
        self.closed = 0
        self.go = asyncio.Event()

    async def open(self):
        return None

    async def close(self):
        self.closed += 1

    async def ask(self, path, headers, document):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.go.wait()
        await asyncio.sleep(0)
        self.waiting -= 1
        self.answered += 1
        return Answer(200, {}, b'{"choices": [{"message": {"content": "hi"}}]}')


async def turns(number=20):
    """Let every task that can run do so."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_batch_asks_no_more_at_once_than_it_was_told():
    backend = Counting()
    async with AIProviderManager(backend) as manager:
        batch = asyncio.ensure_future(manager.generate_texts([HELLO] * 10, concurrency=3))
        await turns()
        assert backend.waiting == 3
        backend.go.set()
        results = await batch
    assert (len(results), backend.answered, backend.most) == (10, 10, 3)


async def test_a_small_batch_asks_everything_at_once():
    backend = Counting()
    async with AIProviderManager(backend) as manager:
        batch = asyncio.ensure_future(manager.generate_texts([HELLO] * 2))
        await turns()
        assert backend.waiting == 2
        backend.go.set()
        await batch


async def test_no_questions_get_no_answers():
    async with AIProviderManager(Counting()) as manager:
        assert await manager.generate_texts([]) == []


async def test_a_batch_of_none_at_a_time_cannot_be_meant():
    async with AIProviderManager(Counting()) as manager:
        with pytest.raises(ValueError, match="concurrency"):
            await manager.generate_texts([HELLO], concurrency=0)


async def test_a_question_that_cannot_be_meant_is_raised_as_it_is_and_ends_the_batch():
    backend = Counting()
    async with AIProviderManager(backend) as manager:
        with pytest.raises(TypeError, match="messages are a list"):
            await manager.generate_texts([HELLO, "hello", HELLO])
    assert backend.answered == 0


async def test_a_manager_that_is_not_open_says_how_to_open_it():
    with pytest.raises(RuntimeError, match="async with"):
        await AIProviderManager(Counting()).generate_text(HELLO)


async def test_a_manager_closes_once():
    backend = Counting()
    async with AIProviderManager(backend) as manager:
        await manager.close()
    assert backend.closed == 1
    with pytest.raises(RuntimeError, match="async with"):
        manager.get_statistics()
