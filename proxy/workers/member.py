"""One worker as its parent sees it: started, asked, ended."""

import asyncio
from collections.abc import Mapping
from typing import Any

from proxy.workers.channel import Channel, ChannelClosedError, Hear, connect
from proxy.workers.hiring import Hired

PATIENCE = 30.0
"""Seconds for an answer; a check waits for its provider."""


class Member:
    """A worker process and the channel to it. Made by `join`."""

    def __init__(self, number: int, hired: Hired, channel: Channel, hear: Hear) -> None:
        self.number = number
        """Its place among the workers, from 0."""
        self.hears = False
        """Whether it has all that the others have, and so must hear of every change."""
        self.ready = False
        """Whether it takes requests."""
        self._process = hired.process
        self._channel = channel
        self._hearing = asyncio.create_task(channel.serve(_refuse, hear))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def living(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    async def ask(self, question: str, patience: float = PATIENCE, /, **details: Any) -> Any:  # noqa: ANN401  any JSON
        """Ask and wait. Raises SidestepError, ChannelClosedError, TimeoutError."""
        async with asyncio.timeout(patience):
            return await self._channel.ask(question, **details)

    def order(self, question: str, /, **details: Any) -> None:  # noqa: ANN401  any JSON
        """Ask for something whose answer does not matter; one that is gone needs no orders."""
        self._channel.ask(question, **details).add_done_callback(_forget)

    async def ended(self) -> int:
        """Wait for the end of the process; its exit status, negative for a signal."""
        # The end of the channel is, or will soon be, the end of the process: nothing else holds the other side.
        await asyncio.wait({self._hearing})
        self.hears = self.ready = False
        return await asyncio.to_thread(self._process.wait)

    def kill(self) -> None:
        """End it without asking; one that has ended already is left alone."""
        self._process.kill()


async def join(number: int, hired: Hired, hear: Hear) -> Member:
    """Begin to speak with a worker that was started."""
    return Member(number, hired, await connect(hired.end), hear)


def _refuse(question: str, _: Mapping[str, Any]) -> Any:  # noqa: ANN401
    raise ValueError(f"a worker asked '{question}' of its parent")


def _forget(answer: "asyncio.Future[Any]") -> None:
    if not answer.cancelled():
        answer.exception()


GONE = (ChannelClosedError, TimeoutError)
"""How a question to a worker that died or hangs ends."""
