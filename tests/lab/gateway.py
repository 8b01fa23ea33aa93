"""What stands between the lab's clients and its upstreams: the real program in a process of its own, or a foreign URL.

One `Sidestep` serves many scenarios: each one reloads it with providers of new names, whose state is therefore new.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab import pulse
from lab.client import RawClient, Response, request
from lab.configuration import Document, write
from lab.history import Page
from lab.otlp import Receiver
from lab.sidecar import eventually

START_TIME = 30.0
CLIENT_KEY, OPERATOR_KEY = "canary-client-1c9a40", "canary-operator-77e2d1"
PRIMARY_KEY, SECONDARY_KEY = "canary-primary-03bd52", "canary-secondary-e5f0aa"
COOKIE = "canary-cookie-b19c4e"
CANARIES = (CLIENT_KEY, OPERATOR_KEY, PRIMARY_KEY, SECONDARY_KEY, COOKIE)
LIMITS = {"header_time": "1s", "body_time": "1s", "body": "21MiB", "connections": 4000}
SERVER: Document = {
    "listen": "127.0.0.1:0",
    "admin": {"listen": "127.0.0.1:0", "token": OPERATOR_KEY},
    "client_keys": [CLIENT_KEY],
    "limits": LIMITS,
    "drain": {"delay": "0s", "timeout": "5s"},
}


@dataclass(slots=True)
class Gateway:
    """Anything that answers OpenAI's API under a base URL."""

    host: str
    port: int
    path: str = "/v1"
    key: str = CLIENT_KEY
    model: str = "small"
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def foreign(cls, url: str, key: str, model: str) -> "Gateway":
        """Somebody else's, as its base URL tells."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80, parts.path.rstrip("/"), key, model)

    def client(self) -> RawClient:
        """Make a client that is not connected yet."""
        return RawClient(self.port, self.host)

    def chat(self, question: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> bytes:
        """Write a question."""
        document = {"model": self.model, "messages": [{"role": "user", "content": question}]} | fields
        return self.request(document, headers=headers)

    def request(
        self,
        document: object = None,
        *,
        body: bytes | None = None,
        path: str = "/chat/completions",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Write a well-formed request with the client's key."""
        fields = {"Authorization": f"Bearer {self.key}"} | dict(headers or {})
        if body is not None:
            fields = {"Content-Type": "application/json"} | fields
        return request(target=self.path + path, document=document, body=body, headers=fields)


@dataclass(slots=True, kw_only=True)
class Sidestep(Gateway):
    """Ours: seen from inside too."""

    admin_port: int
    folder: Path
    child: subprocess.Popen[bytes]
    collector: Receiver | None = None

    @property
    def stdout(self) -> str:
        """What it wrote to standard output so far."""
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.child.poll() is None

    async def operator(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Response:
        """Ask the operator's listener with its token."""
        fields = {"Authorization": f"Bearer {OPERATOR_KEY}"} if headers is None else dict(headers)
        async with RawClient(self.admin_port) as client:
            return await client.ask(request(method, path, headers=fields))

    async def metrics(self) -> Page:
        """Read /metrics."""
        return Page((await self.operator("/metrics")).body.decode())

    async def configure(self, documents: Document, policy: Document) -> None:
        """Write the files, ask for a reload, and wait until the new providers are known."""
        write(self.folder, documents, policy)
        self.child.send_signal(signal.SIGHUP)
        wanted = list(documents["providers"])

        async def in_force() -> bool:
            page = (await self.metrics()).text
            return all(f'sidestep_provider_configured{{provider="{name}"}}' in page for name in wanted)

        try:
            await eventually(in_force, within=15)
        except AssertionError:
            raise AssertionError(f"the configuration was not taken: {self.stdout[-600:]}") from None

    def peak_memory(self) -> int:
        """Bytes: the most that was resident since the last `forget_peak`."""
        return _status(self.child.pid, "VmHWM")

    def memory(self) -> int:
        """Bytes resident now."""
        return _status(self.child.pid, "VmRSS")

    def forget_peak(self) -> None:
        """Begin to measure the peak anew (Linux, proc(5): clear_refs)."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Count its open descriptors."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))

    def pulse_between(self, start: float, end: float) -> list[float]:
        """Return how long /livez took in that time (monotonic seconds)."""
        pairs = (line.split() for line in (self.folder / "pulse").read_text().splitlines())
        return [
            float(took) for asked, took in filter(lambda pair: len(pair) == 2, pairs) if start <= float(asked) <= end
        ]


@contextlib.contextmanager
def sidestep(
    folder: Path,
    documents: Document,
    policy: Document,
    *,
    collector: Receiver | None = None,
    stdout: int | None = None,
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sidestep]:
    """Start the program, wait until it listens, kill it at the end. `stdout`: a descriptor in place of a file."""
    write(folder, documents, policy)
    around = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SIDESTEP_"))}
    around |= {"OTEL_BSP_SCHEDULE_DELAY": "100", "XDG_RUNTIME_DIR": str(folder)} | dict(environment or {})
    command = [sys.executable, "-m", "proxy", "run", "--routes", str(folder / "routes.yaml"), *arguments]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        child = subprocess.Popen(command, stdout=out if stdout is None else stdout, stderr=err, env=around)
    watch = None
    try:
        ports = _given(arguments) if stdout is not None else _listening(child, folder)
        if stdout is not None:
            _accepts(ports[0])
        (folder / "pulse").touch()
        # -P: its folder is not where modules are looked for, as the lab has names of the standard library's
        watch = subprocess.Popen([sys.executable, "-P", pulse.__file__, str(ports[0]), str(folder / "pulse")])
        yield Sidestep("127.0.0.1", ports[0], admin_port=ports[1], folder=folder, child=child, collector=collector)
    finally:
        for process in (child, watch):
            if process is not None:
                process.kill()
                process.wait()


def _listening(child: subprocess.Popen[bytes], folder: Path) -> tuple[int, int]:
    """Wait for the log line that tells the addresses; the two ports."""
    until = time.monotonic() + START_TIME
    while time.monotonic() < until and child.poll() is None:
        for line in lines_of((folder / "stdout").read_text()):
            if line["message"] == "listening":
                data, admin = (int(str(line[name]).rpartition(":")[2]) for name in ("address", "admin_address"))
                return data, admin
        time.sleep(0.02)
    raise AssertionError(f"it does not listen: {(folder / 'stderr').read_text()}")


def _given(arguments: tuple[str, ...]) -> tuple[int, int]:
    named = dict(itertools.pairwise(arguments))
    return int(named["--listen"].rpartition(":")[2]), int(named["--admin"].rpartition(":")[2])


def _accepts(port: int) -> None:
    """Wait until somebody listens there."""
    until = time.monotonic() + START_TIME
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at {port}")


def lines_of(log: str) -> list[dict[str, Any]]:
    """Parse what is complete of a log; raises ValueError for a line that is not JSON."""
    return [json.loads(line) for line in log.splitlines(keepends=True) if line.endswith("\n")]


def _status(pid: int, name: str) -> int:
    """Read a size out of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{name} is not told")
