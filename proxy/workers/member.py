"""One worker as its parent sees it: started, asked, ended."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from proxy.workers.channel import Channel, ChannelClosedError, Hear, connect

PATIENCE = 30.0
"""Seconds for an answer; a check waits for its provider."""


class Member:
    """A worker process and the channel to it. Made by `start`."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel, hear: Hear) -> None:
        self.number = number
        """Its place among the workers, from 0."""
        self.hears = False
        """Whether it has all that the others have, and so must hear of every change."""
        self.ready = False
        """Whether it takes requests."""
        self.generation = ""
        """The configuration that it follows."""
        self._process = process
        self._channel = channel
        self._hearing = asyncio.create_task(channel.serve(_refuse, hear))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def living(self) -> bool:
        """Whether its process runs."""
        return self._process.returncode is None

    async def ask(self, question: str, patience: float = PATIENCE, /, **details: Any) -> Any:  # noqa: ANN401  any JSON
        """Ask and wait. Raises SidestepError, ChannelClosedError, TimeoutError."""
        async with asyncio.timeout(patience):
            return await self._channel.ask(question, **details)

    def order(self, question: str, /, **details: Any) -> None:  # noqa: ANN401  any JSON
        """Ask for something whose answer does not matter; one that is gone needs no orders."""
        self._channel.ask(question, **details).add_done_callback(_forget)

    async def ended(self) -> int:
        """Wait for the end of the process; its exit status, negative for a signal."""
        status = await self._process.wait()
        self.hears = self.ready = False
        self._hearing.cancel()
        self._channel.close()
        return status

    def kill(self) -> None:
        """End it without asking."""
        if self.living:
            self._process.kill()


async def start(number: int, hear: Hear) -> Member:
    """Start a worker process; it waits for `begin`."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "proxy.workers", str(theirs.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=_environment(),
        )
    ours.settimeout(0)
    return Member(number, process, await connect(ours), hear)


def _environment() -> dict[str, str]:
    """Let it find the very modules that run here, and none that lie in the working directory (hence `-P`)."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _refuse(question: str, _: Mapping[str, Any]) -> Any:  # noqa: ANN401
    raise ValueError(f"a worker asked '{question}' of its parent")


def _forget(answer: "asyncio.Future[Any]") -> None:
    if not answer.cancelled():
        answer.exception()


GONE = (ChannelClosedError, TimeoutError)
"""How a question to a worker that died or hangs ends."""
