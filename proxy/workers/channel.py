"""Questions, answers and news between the parent and a worker, over a socket that only these two have.

A message is four bytes of length and a JSON object:

    {"ask": NAME, "id": N, "with": {...}}        answered in any order by
    {"id": N, "answer": ANY}                     or
    {"id": N, "error": {"message", "status", "code", "param"}}
    {"news": NAME, "data": {...}}                answered by nothing

The end of the socket is the end of whoever held the other side, however that came.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from proxy.envelope import encode
from proxy.errors import ClientError, SidestepError
from proxy.server.admin.operations import settled

LENGTH = 4
"""Bytes that tell how long a message is."""

logger = logging.getLogger("sidestep.workers")

Answer = Callable[[str, Mapping[str, Any]], Any]
"""Takes a question and what goes with it; the answer, or something to await for it. Raises SidestepError."""
Hear = Callable[[str, Mapping[str, Any]], None]
"""Takes a piece of news."""


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end. `serve` must run for anything to be heard."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    def ask(self, question: str, /, **details: Any) -> "asyncio.Future[Any]":  # noqa: ANN401  any JSON
        """Ask at once, in the order of the calls; the future raises SidestepError or ChannelClosedError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(ChannelClosedError())
            return answer
        self._last += 1
        self._asked[self._last] = answer
        self._send({"ask": question, "id": self._last, "with": details})
        return answer

    async def tell(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell something; waits while the other side does not keep up."""
        self._send({"news": name, "data": data})
        await self._writer.drain()

    async def serve(self, answer: Answer, hear: Hear | None = None) -> None:
        """Answer what is asked until the other side is gone. Questions are begun in order and answered when ready."""
        try:
            while True:
                size = int.from_bytes(await self._reader.readexactly(LENGTH), "big")
                message = json.loads(await self._reader.readexactly(size))
                if "ask" in message:
                    task = asyncio.ensure_future(self._answer(message, answer))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                elif "news" in message:
                    if hear is not None:
                        hear(message["news"], message["data"])
                else:
                    self._settle(message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the other side has ended; whoever waits for it is told below
        finally:
            self.close()

    def close(self) -> None:
        """Speak no more; whoever still waits for an answer is told so."""
        self._closed = True
        self._writer.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ChannelClosedError())
        self._asked.clear()

    def _settle(self, message: Mapping[str, Any]) -> None:
        future = self._asked.pop(message["id"], None)
        if future is None or future.done():
            return  # whoever asked has given up
        if "error" in message:
            future.set_exception(_error(message["error"]))
        else:
            future.set_result(message["answer"])

    async def _answer(self, message: Mapping[str, Any], answer: Answer) -> None:
        told: dict[str, Any] = {"id": message["id"]}
        try:
            told["answer"] = await settled(answer(message["ask"], message["with"]))
        except SidestepError as error:
            told["error"] = _fields(error)
        except Exception as error:
            logger.exception("a worker could not answer", extra={"question": message["ask"]})
            told["error"] = _fields(SidestepError(f"a worker failed: {type(error).__name__}"))
        if not self._closed:
            self._send(told)

    def _send(self, message: Mapping[str, Any]) -> None:
        body = encode(message)
        self._writer.write(len(body).to_bytes(LENGTH, "big") + body)


async def connect(end: socket.socket) -> Channel:
    """Speak over one end of a pair of sockets."""
    return Channel(*await asyncio.open_unix_connection(sock=end))


def _fields(error: SidestepError) -> dict[str, Any]:
    return {"message": error.message, "status": error.status, "code": error.code, "param": error.param}


def _error(fields: Mapping[str, Any]) -> SidestepError:
    """The same error on this side."""
    kind = ClientError if 400 <= fields["status"] < 500 else SidestepError
    return kind(fields["message"], status=fields["status"], code=fields["code"], param=fields["param"])
