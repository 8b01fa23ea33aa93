"""The product itself, started for a test: in this process, or as the real program in one of its own.

    async with running(routes({"p1": p1, "p2": p2}), attempts=2) as sidecar:      # in-process, seen from inside too
        answer = await sidecar.chat("question")
    async with process(routes({"p1": p1})) as program:                            # `python -m proxy run`
        program.terminate()

Both are used over their sockets, and tell their metrics.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.client import RawClient, Response, request
from lab.configuration import CHAT, Document, write
from prometheus_client.parser import text_string_to_metric_families

from proxy.config.load import load
from proxy.record import Record
from proxy.server.sidecar import Sidecar

START_TIME = 20.0
"""Seconds that the program gets to start on a busy machine."""
END_TIME = 20.0


@dataclass(slots=True)
class Served:
    """A sidecar as its clients see it."""

    port: int
    admin_port: int

    @property
    def url(self) -> str:
        """What an OpenAI client takes as its `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def ask(self, path: str = CHAT, headers: dict[str, str] | None = None, **document: Any) -> Response:
        """Post a JSON document on a connection of its own and read the whole answer."""
        async with RawClient(self.port) as client:
            return await client.ask(request(target=path, document=document, headers=headers))

    async def chat(self, question: str, headers: dict[str, str] | None = None, **fields: Any) -> Response:
        """Ask one question."""
        return await self.ask(CHAT, headers, **chat(question, **fields))

    async def metric(self, name: str, **labels: str) -> float:
        """Sum the samples of that name that have these labels; a name that does not exist is a mistake."""
        page = (await self.admin("/metrics")).body.decode()
        families = [each for each in text_string_to_metric_families(page) if name in _names(each.name)]
        assert families, f"there is no metric {name}"
        samples = [sample for family in families for sample in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    async def admin(self, path: str) -> Response:
        """Ask the operator's listener."""
        async with RawClient(self.admin_port) as client:
            return await client.ask(request("GET", path))

    async def breaker(self, provider: str) -> str:
        """Tell a breaker's state: `closed`, `open` or `half_open`."""
        for state in ("closed", "open", "half_open"):
            if await self.metric("sidestep_breaker_state", provider=provider, state=state):
                return state
        raise AssertionError(f"no breaker of {provider}")


@dataclass(slots=True)
class Running(Served):
    """A sidecar in this process."""

    sidecar: Sidecar
    records: list[Record] = field(default_factory=list)
    """Every finished request."""


@dataclass(slots=True)
class Program(Served):
    """`sidestep run` in a process of its own. `stdout` and `stderr` are the files it writes."""

    child: asyncio.subprocess.Process
    stdout: Path
    stderr: Path

    @property
    def log(self) -> list[Document]:
        """Its log, line by line."""
        return _lines(self.stdout)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.child.terminate()

    async def ended(self, within: float = END_TIME) -> int:
        """Wait for its end; the exit status."""
        async with asyncio.timeout(within):
            return await self.child.wait()


def chat(question: str, **fields: Any) -> Document:
    """Write the body of a chat completion."""
    return {"model": "small", "messages": [{"role": "user", "content": question}]} | fields


@asynccontextmanager
async def running(documents: Document, **policy: Any) -> AsyncIterator[Running]:
    """Serve these routes in this process, over files that are really written and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = load(write(Path(folder), documents, policy), None, {})
    sidecar = Sidecar(snapshot)
    await sidecar.start()
    served = Running(sidecar.address.port, sidecar.admin_address.port, sidecar)
    sidecar.engine.observers.append(served.records.extend)
    try:
        yield served
    finally:
        await sidecar.close()


@asynccontextmanager
async def process(documents: Document, *arguments: str, **policy: Any) -> AsyncIterator[Program]:
    """Run the program and wait until it listens; it is killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), documents, policy)
        child, stdout, stderr = await start(Path(folder), "run", *arguments)
        try:
            line = await _listening(child, stdout, stderr)
            ports = [int(str(line[name]).rpartition(":")[2]) for name in ("address", "admin_address")]
            yield Program(*ports, child, stdout, stderr)
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()


async def start(folder: Path, command: str, *arguments: str) -> tuple[asyncio.subprocess.Process, Path, Path]:
    """Start `sidestep COMMAND` on the files in a folder; the process, and the files that take its output."""
    stdout, stderr = folder / "stdout", folder / "stderr"
    files = ["--routes", str(folder / "routes.yaml")] if command in {"run", "check"} else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SIDESTEP_"))}
    environment["XDG_RUNTIME_DIR"] = str(folder)  # an admin token is a test's own, too
    with stdout.open("wb") as out, stderr.open("wb") as err:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", command, *files, *arguments), stdout=out, stderr=err, env=environment
        )
    return child, stdout, stderr


async def finished(folder: Path, command: str, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end: exit status, stdout, stderr."""
    child, stdout, stderr = await start(folder, command, *arguments)
    async with asyncio.timeout(END_TIME):
        status = await child.wait()
    return status, _text(stdout), _text(stderr)


async def _listening(child: asyncio.subprocess.Process, stdout: Path, stderr: Path) -> Document:
    """Wait for the log line that tells the addresses."""
    async with asyncio.timeout(START_TIME):
        while child.returncode is None:
            for line in _lines(stdout):
                if line["message"] == "listening":
                    return line
            await asyncio.sleep(0.02)
    raise AssertionError(f"it ended with {child.returncode}: {_lines(stdout)} {_text(stderr)}")


def _lines(log: Path) -> list[Document]:
    """Read what is complete of a log that is still being written."""
    return [json.loads(line) for line in _text(log).splitlines(keepends=True) if line.endswith("\n")]


def _names(family: str) -> tuple[str, ...]:
    return (family, *(f"{family}_{suffix}" for suffix in ("total", "sum", "count", "bucket")))


def _text(file: Path) -> str:
    return file.read_text()


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 2.0) -> float:
    """Poll an async condition until it holds; the seconds that it took, or an AssertionError."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not await condition():
        assert loop.time() - begun < within, f"not within {within} s: {condition}"
        await asyncio.sleep(0.01)
    return loop.time() - begun
