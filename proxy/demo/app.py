"""The app of the demo: asks through the sidecar at a steady rate, never retries, and checks every answer to the end."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import aiohttp

from proxy.clock import Clock
from proxy.demo.figures import Answer

PATIENCE = 10.0
"""Seconds that the app gives one question; the scene's own clocks are all shorter."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Reading:
    """One answer while it is read."""

    text: str = ""
    output_at: float | None = None
    done: bool = False
    """Whether a stream ended with `[DONE]`."""
    error: str = ""
    """The code of an error, or what else was wrong."""


@dataclass(slots=True)
class App:
    """Every second question is a stream. `answers` grows as they end."""

    base_url: str
    clock: Clock
    rate: float
    """Questions per second; they are asked when due, however slow the answers are."""
    answers: list[Answer] = field(default_factory=list)
    stopped: bool = False

    async def ask_steadily(self) -> None:
        """Ask until `stopped`, then wait for the answers that are still out."""
        async with self.session() as session, asyncio.TaskGroup() as questions:
            began, count = self.clock.now(), 0
            while not self.stopped:
                questions.create_task(self._ask_and_note(session, count))
                count += 1
                await self.clock.sleep(began + count / self.rate - self.clock.now())

    def session(self) -> aiohttp.ClientSession:
        """An ordinary client, with as many connections as it needs and no proxies from the environment."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, trust_env=False)

    async def _ask_and_note(self, session: aiohttp.ClientSession, number: int) -> None:
        asked_at = self.clock.now()
        stream = number % 2 == 1
        nonce = f"question-{number}"
        response, reading = await self.ask(session, nonce, stream=stream)
        headers = response.headers if response is not None else {}
        error = reading.error
        if not error and nonce not in reading.text:
            error = "the answer belongs to another question"
        if not error and stream and not reading.done:
            error = "the stream ended without [DONE] and without an error"
        self.answers.append(
            Answer(
                asked_at=asked_at,
                output_at=self.clock.now() if reading.output_at is None else reading.output_at,
                provider=headers.get("x-sidestep-provider", ""),
                failed_over=headers.get("x-sidestep-failover") == "true",
                stream=stream,
                error=error,
            )
        )

    async def ask(
        self, session: aiohttp.ClientSession, text: str, *, stream: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> tuple[aiohttp.ClientResponse | None, Reading]:
        """Ask one question and read the answer to its end; what goes wrong stands in the reading, never raised."""
        question = {"model": "demo", "messages": [{"role": "user", "content": text}], "stream": stream}
        reading = Reading()
        response = None
        try:
            async with session.post(f"{self.base_url}/chat/completions", json=question, headers=headers) as response:
                if stream and response.status == 200:
                    await self._read_stream(response, reading)
                else:
                    self._read_plain(await response.json(), reading)
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError) as error:
            reading.error = f"{type(error).__name__}: {error}"
        return response, reading

    def _read_plain(self, document: Any, reading: Reading) -> None:  # noqa: ANN401  any JSON value
        if "error" in document:
            reading.error = f"{document['error']['code']}: {document['error']['message']}"
            return
        reading.text = document["choices"][0]["message"]["content"]
        reading.output_at = self.clock.now()

    async def _read_stream(self, response: aiohttp.ClientResponse, reading: Reading) -> None:
        async for line in response.content:
            data = line.removeprefix(b"data:").strip()
            if not line.startswith(b"data:"):
                continue
            if data == b"[DONE]":
                reading.done = True
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                reading.error = str(chunk["error"]["code"])
                continue
            word = chunk["choices"][0]["delta"].get("content", "") if chunk["choices"] else ""
            if word and reading.output_at is None:
                reading.output_at = self.clock.now()
            reading.text += word
