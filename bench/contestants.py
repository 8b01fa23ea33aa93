"""Who is measured: a program, where it listens, how it is started and found to be well. Ours: yardstick, sidestep."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.ground import CouldNotMeasure, Ground, fetch, free_port
from bench.processes import Program

HERE = Path(__file__).resolve().parent
POLICIES = HERE.parent / "policies"
QUESTION = b'{"model":"m","messages":[{"role":"user","content":"Hello, how are you today my friend?"}]}'
ANSWER = b"Hello there, how are you?"
START_WITHIN = 90.0

SIDESTEP = """\
version: 1
server:
  listen: 127.0.0.1:{port}
  admin: {{listen: "127.0.0.1:{admin}"}}
  limits: {{connections: 20000, in_flight: 4000}}
  drain: {{delay: 0s, timeout: 1s}}
telemetry: {{traces: {{{traces}}}}}
providers:
  first: {{dialect: openai, base_url: "http://127.0.0.1:{first}/v1", priority: 1, rate_limit: {{chat: 10000000/s}}}}
  second: {{dialect: openai, base_url: "http://127.0.0.1:{second}/v1", priority: 2, rate_limit: {{chat: 10000000/s}}}}
routes:
  - {{name: chat, match: {{path: /v1/chat/completions}}, providers: [first, second], policy: default}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One proxy under test."""

    name: str
    command: tuple[str, ...]
    """Empty: nobody stands between the load and the upstream."""
    port: int
    cores: frozenset[int]
    headers: tuple[str, ...] = ()
    """What clients must send besides."""
    environment: Mapping[str, str] = field(default_factory=dict)
    admin: int | None = None
    """Port of /metrics."""
    ours: bool = False
    """A wrong answer spoils the run; of others it is a finding."""


@dataclass(frozen=True, slots=True)
class Started:
    """A contestant that has given its first answer."""

    contestant: Contestant
    program: Program | None
    ready_after: float
    """Seconds from its start to its first answer."""

    @property
    def running(self) -> Program:
        """Its program, where there must be one."""
        if self.program is None:
            raise CouldNotMeasure(f"{self.contestant.name} is no program")
        return self.program

    def metric(self, name: str) -> float:
        """The sum of all series of a metric."""
        if self.contestant.admin is None:
            raise CouldNotMeasure(f"{self.contestant.name} has no metrics")
        return metric(fetch(self.contestant.admin, "/metrics").decode(), name)


def metric(exposition: str, name: str) -> float:
    """The sum of all series of a metric in Prometheus' text format; 0 when there are none."""
    lines = (line for line in exposition.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextmanager
def started(ground: Ground, contestant: Contestant) -> Iterator[Started]:
    """Start it, wait for its first right answer, and end it after the block."""
    if not contestant.command:
        yield Started(contestant, None, 0.0)
        return
    log = ground.folder / f"{contestant.name.replace(' ', '-')}.log"
    begun = time.perf_counter()
    with Program(contestant.command, set(contestant.cores), contestant.environment, log) as program:
        while not answers(contestant):
            if not program.alive() or time.perf_counter() - begun > START_WITHIN:
                told = log.read_text(errors="replace")[-2000:]
                raise CouldNotMeasure(f"{contestant.name} gives no good answer. Its last words:\n{told}")
            time.sleep(0.002)
        yield Started(contestant, program, time.perf_counter() - begun)


def answers(contestant: Contestant) -> bool:
    """Does it answer a question, and rightly?"""
    try:
        return ANSWER in fetch(contestant.port, "/v1/chat/completions", QUESTION, contestant.headers)
    except OSError:
        return False


def direct(ground: Ground) -> Contestant:
    """The upstream without a proxy: what the load and the upstream could do at most."""
    return Contestant("no proxy", (), ground.upstream, frozenset(ground.cores.load), ours=True)


def yardstick(ground: Ground) -> Contestant:
    """The bare pass-through on aiohttp."""
    port = free_port()
    command = (sys.executable, str(HERE / "yardstick.py"), str(port), str(ground.upstream))
    return Contestant("yardstick", command, port, frozenset(ground.cores.proxy), ours=True)


def sidestep(
    ground: Ground,
    name: str = "sidestep",
    *,
    sample: str | None = "1%",
    first: int | None = None,
    workers: int = 1,
    everywhere: bool = False,
    policies: Path = POLICIES,
) -> Contestant:
    """All of sidestep: strategy, breaker, rate limits, metrics, log lines to /dev/null, traces.

    `sample` is the share of traces that is kept (failures always are), None: no traces; `first` the primary's port.
    """
    port, admin = free_port(), free_port()
    traces = "exporter: none"
    if sample:
        traces = f'endpoint: "http://127.0.0.1:{ground.collector}", protocol: http, sample: {sample}'
    routes = ground.folder / f"{name.replace(' ', '-')}.yaml"
    routes.write_text(
        SIDESTEP.format(port=port, admin=admin, traces=traces, first=first or ground.upstream, second=ground.upstream)
    )
    binary = str(Path(sys.executable).with_name("sidestep"))
    command = [binary, "run", "--routes", str(routes), "--policies", str(policies)]
    command += ["--state-dir", str(ground.folder), "--workers", str(workers)]
    cores = ground.cores.workers if everywhere else ground.cores.proxy
    return Contestant(name, tuple(command), port, frozenset(cores), admin=admin, ours=True)


def program(name: str) -> str | None:
    """Where a program is, also in the folders that only root has in its PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
