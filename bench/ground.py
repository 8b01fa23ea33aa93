"""What all contestants stand on: cores, ports, the upstream, the collector, and the load that asks them."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.processes import Program

SOURCES = Path(__file__).resolve().parent / "c"
PORTS = itertools.count(20000 + os.getpid() % 10000)
"""Ports to try, apart from those of another run at the same time."""
PATIENCE = 120.0
"""Seconds beyond what was asked for, after which a load that does not end is ended."""


class CouldNotMeasure(Exception):  # noqa: N818  it says what it is
    """A figure that is wanted could not be had."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. On two cores a second worker has to share the load's."""

    proxy: set[int]
    workers: set[int]
    load: set[int]


def deal(cores: list[int]) -> Cores:
    """Deal out the cores that we may use: at least two."""
    if len(cores) < 2:
        raise CouldNotMeasure("this needs two cores: one for the proxy, one for the load")
    if len(cores) < 4:
        return Cores({cores[0]}, set(cores[:2]), {cores[1]})
    return Cores({cores[0]}, set(cores[:2]), set(cores[2:4]))


@dataclass(frozen=True, slots=True)
class Totals:
    """What a load tells at its end. Counts, seconds, and distributions in milliseconds."""

    seconds: float
    answered: int
    in_time: int
    left: int
    streams: int
    events: int
    events_in_time: int
    wrong: int
    again: int
    open: int
    cpu: float
    latency_ms: dict[str, float]
    first_ms: dict[str, float]
    gap_ms: dict[str, float]
    probe_ms: dict[str, float]


def parse_totals(output: str) -> Totals:
    """Read the totals, which are the last line of what a load prints."""
    lines = output.strip().splitlines()
    if not lines:
        raise CouldNotMeasure("the load said nothing")
    return Totals(**json.loads(lines[-1]))


@dataclass(frozen=True, slots=True)
class Asked:
    """One run of the load against one contestant."""

    totals: Totals
    busy: float
    """Share of a core that load and upstream used (of two cores, the busier one's): near 1, they set the pace."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The place where everything happens."""

    folder: Path
    cores: Cores
    upstream: int
    """Port of the provider that is always well."""
    moody: int
    """Port of the same provider where it fails when the question says so."""
    dead: int
    """A port that refuses every connection."""
    collector: int
    helpers: tuple[Program, ...]

    def load(self, *words: str, **named: object) -> list[str]:
        """The command line of a load."""
        return [str(self.folder / "load"), *words, *(f"{name}={value}" for name, value in named.items())]

    def ask(
        self, port: int, *, headers: tuple[str, ...] = (), watch: Callable[[], object] | None = None, **named: object
    ) -> Asked:
        """Ask a contestant; `watch` is called five times a second meanwhile."""
        words = [f"header={header}" for header in headers]
        before, begun = self._helpers_cpu(), time.monotonic()
        with Asking(self.load(*words, port=port, **named), self.cores.load) as asking:
            output = asking.finish(float(str(named.get("seconds", 0))) + PATIENCE, watch)
        totals = parse_totals(output)
        helpers, passed = self._helpers_cpu() - before, time.monotonic() - begun
        used = totals.cpu + helpers if len(self.cores.load) == 1 else max(totals.cpu, helpers)
        return Asked(totals, used / passed)

    def spans(self) -> int:
        """How many spans the collector has taken."""
        return int(fetch(self.collector, "/").decode())

    def _helpers_cpu(self) -> float:
        return sum(helper.cpu() for helper in self.helpers)


class Asking:
    """A load under way. Leaving the block ends it."""

    def __init__(self, command: list[str], cores: set[int]) -> None:
        os.sched_setaffinity(0, cores)  # ours, too: whoever measures stays off the proxy's core
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self, within: float, watch: Callable[[], object] | None = None) -> str:
        """Wait for its end; what it printed."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            try:
                output, _ = self.process.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                if watch:
                    watch()
                continue
            if self.process.returncode:
                raise CouldNotMeasure(f"the load ended with status {self.process.returncode}")
            return output
        raise CouldNotMeasure(f"the load did not end within {within:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe and not pipe.closed:
                pipe.close()


def fetch(port: int, path: str, data: bytes | None = None, headers: tuple[str, ...] = ()) -> bytes:
    """The body of a 200 answer; OSError for anything else."""
    method = "GET" if data is None else "POST"
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
    if data is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (data or b""))
        answer = b""
        while True:
            head, blank, body = answer.partition(b"\r\n\r\n")
            length = content_length(head) if blank else None
            if length is not None and len(body) >= length:
                break
            more = connection.recv(65536)
            if not more:
                break
            answer += more
    if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
        raise OSError(f"port {port} answered {answer[:200]!r}")
    return body


def content_length(head: bytes) -> int | None:
    """What the head says of the body's size, if it says it."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return None


def free_port() -> int:
    """A port that nobody uses now, below those that the system gives to outgoing connections."""
    while True:
        port = next(PORTS)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def build(folder: Path) -> None:
    """Compile the C programs."""
    if shutil.which("cc") is None:
        raise CouldNotMeasure("this needs a C compiler (Debian: apt-get install gcc libc6-dev)")
    for name in ("load", "upstream", "collector"):
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(folder / name), str(SOURCES / f"{name}.c")]
        subprocess.run(command, check=True)


@contextmanager
def prepared(folder: Path) -> Iterator[Ground]:
    """Build what is needed, start upstream and collector, and end them after the block."""
    cores = deal(sorted(os.sched_getaffinity(0)))
    build(folder)
    with ExitStack() as stack:
        refusing = stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, and it refuses
        upstream, moody, collector = (free_port() for _ in range(3))
        commands = [["upstream", str(upstream), str(moody)], ["collector", str(collector)]]
        helpers = tuple(
            stack.enter_context(Program([str(folder / name), *ports], cores.load)) for name, *ports in commands
        )
        ground = Ground(folder, cores, upstream, moody, refusing.getsockname()[1], collector, helpers)
        for port in (upstream, collector):
            wait_until_open(port)
        yield ground


def wait_until_open(port: int, within: float = 10.0) -> None:
    """Wait until somebody listens at the port."""
    until = time.monotonic() + within
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise CouldNotMeasure(f"nobody listens at port {port}") from None
            time.sleep(0.01)
        else:
            return
