"""Measure the proxy beside a yardstick, in one run, on one machine.

    make bench [ARGS="--rounds 5 --seconds 4 --json bench/results/last.json"]

Every contestant is pinned to one core; load and upstream share the other. Rounds are interleaved, medians are told, and
the ratio to the yardstick (a bare aiohttp pass-through) comes first: it holds when the machine's own speed drifts.
Needs `wrk` and a C compiler (Debian: `apt-get install wrk gcc`); `nginx` takes part when it is installed.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
UPSTREAM, DEAD, PORTS = 19090, 19091, {"yardstick": 19100, "sidestep": 19101, "nginx": 19102}
PROXY_CORE, LOAD_CORE = 0, 1
STREAM_EVENTS = 100

CONFIG = f"""
version: 1
server: {{listen: "127.0.0.1:{PORTS["sidestep"]}", admin: {{listen: "127.0.0.1:19201"}}}}
telemetry: {{traces: {{endpoint: "http://127.0.0.1:4", sample: 1%%}}}}
providers:
  first: {{dialect: openai, base_url: "http://127.0.0.1:%d/v1", priority: 1, rate_limit: {{chat: 10000000/s}}}}
  second: {{dialect: openai, base_url: "http://127.0.0.1:{UPSTREAM}/v1", priority: 2}}
routes:
  - {{name: chat, match: {{path: /v1/chat/completions}}, providers: [first, second]}}
"""
NGINX = f"""
worker_processes 1; daemon off; pid /tmp/sidestep-bench-nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  upstream up {{ server 127.0.0.1:{UPSTREAM}; keepalive 256; }}
  server {{ listen 127.0.0.1:{PORTS["nginx"]}; location / {{
    proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""
QUESTION = '{"model":"m","messages":[{"role":"user","content":"Hello, how are you today my friend?"}]%s}'


@dataclass
class Contestant:
    """One proxy under test."""

    name: str
    command: list[str]
    idle_rss: int = 0
    ready_after: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    figures: dict[str, list[float]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{PORTS[self.name]}/v1/chat/completions"

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> int:
        """Resident bytes of the process and its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(_rss(pid) for pid in [str(self.process.pid), *children])


def _rss(pid: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def running(command: list[str], core: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on one core until the block ends."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=quiet, stderr=quiet)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_for(port: int, within: float = 20.0) -> float:
    """Seconds until somebody answers a question at this port."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < within:
        found = subprocess.run(
            [
                "curl",
                "-sf",
                "-o",
                "/dev/null",
                "-d",
                QUESTION % "",
                "-H",
                "content-type: application/json",
                f"http://127.0.0.1:{port}/v1/chat/completions",
            ],
            check=False,
        )
        if found.returncode == 0:
            return time.perf_counter() - begun
        time.sleep(0.01)
    raise SystemExit(f"nobody answers at port {port}")


def plain(contestant: Contestant, script: Path, concurrency: int, seconds: int) -> None:
    """Requests per second, latency and processor time of plain questions."""
    before = contestant.cpu()
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "--latency"]
    told = subprocess.run([*command, "-s", str(script), contestant.url], capture_output=True, text=True, check=True)
    lines = told.stdout.splitlines()
    requests = next(int(line.split()[0]) for line in lines if "requests in" in line)
    p50 = next(line.split()[1] for line in lines if line.strip().startswith("50%"))
    if any("Non-2xx" in line for line in lines):
        raise SystemExit(f"{contestant.name} answered with errors: {told.stdout}")
    contestant.note(f"requests/s at {concurrency}", requests / seconds)
    contestant.note(f"p50 ms at {concurrency}", _milliseconds(p50))
    contestant.note(f"CPU ms per request at {concurrency}", (contestant.cpu() - before) / requests * 1000)


def _milliseconds(text: str) -> float:
    return float(text.removesuffix("us")) / 1000 if text.endswith("us") else float(text.removesuffix("ms"))


async def streams(contestant: Contestant, count: int, rounds: int) -> None:
    """Events per second through `count` streams at a time, and the memory that they take."""
    body = (QUESTION % ',"stream":true').encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}"
    peak, events = 0, 0

    async def one() -> None:
        nonlocal events, peak
        reader, writer = await asyncio.open_connection("127.0.0.1", PORTS[contestant.name])
        for _ in range(rounds):
            writer.write(head.encode() + b"\r\n\r\n" + body)
            answer = await reader.readuntil(b"0\r\n\r\n")
            events += answer.count(b"data: {")
            if b"[DONE]" not in answer:
                raise SystemExit(f"{contestant.name} cut a stream")
            peak = max(peak, contestant.rss())
        writer.close()

    before, begun = contestant.cpu(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    taken = time.perf_counter() - begun
    contestant.note("stream events/s", events / taken)
    contestant.note("CPU ms per 1,000 events", (contestant.cpu() - before) / events * 1_000_000)
    contestant.note("RSS MB while streaming", peak / 1e6)


def contestants(folder: Path) -> list[Contestant]:
    """Whoever takes part on this machine."""
    (folder / "routes.yaml").write_text(CONFIG % UPSTREAM)
    (folder / "nginx.conf").write_text(NGINX)
    ours = [str(Path(sys.executable).with_name("sidestep")), "run", "--routes", str(folder / "routes.yaml")]
    found = [
        Contestant("yardstick", [sys.executable, str(HERE / "yardstick.py"), str(PORTS["yardstick"]), str(UPSTREAM)]),
        Contestant("sidestep", ours),
    ]
    if shutil.which("nginx"):
        found.append(Contestant("nginx", ["nginx", "-c", str(folder / "nginx.conf")]))
    return found


def measure(arguments: argparse.Namespace) -> list[Contestant]:
    """Play all rounds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream, script = folder / "upstream", folder / "post.lua"
        subprocess.run(["cc", "-O2", "-o", str(upstream), str(HERE / "upstream.c")], check=True)
        script.write_text(
            'wrk.method="POST"\nwrk.headers["Content-Type"]="application/json"\nwrk.body=[[' + QUESTION % "" + "]]\n"
        )
        stack.enter_context(running([str(upstream), str(UPSTREAM), str(STREAM_EVENTS), "0"], LOAD_CORE))
        playing = contestants(folder)
        for each in playing:
            each.process = stack.enter_context(running(each.command, PROXY_CORE))
            each.ready_after = wait_for(PORTS[each.name])
            each.idle_rss = each.rss()
        os.sched_setaffinity(0, {LOAD_CORE})
        plays: list[Callable[[Contestant], None]] = [
            lambda each, level=level: plain(each, script, level, arguments.seconds) for level in (1, 16, 64)
        ]
        plays.append(lambda each: asyncio.run(streams(each, 32, 5)))
        for round_number in range(arguments.rounds):
            for play in plays:
                for each in playing:
                    play(each)
            print(f"round {round_number + 1} of {arguments.rounds} played", file=sys.stderr)
    return playing


def table(playing: list[Contestant]) -> str:
    """Medians, and in brackets the ratio to the yardstick."""
    yardstick = playing[0]
    rows = ["| | " + " | ".join(each.name for each in playing) + " |", "|---" * (len(playing) + 1) + "|"]
    for figure in yardstick.figures:
        base = statistics.median(yardstick.figures[figure])
        cells = [statistics.median(each.figures[figure]) for each in playing]
        rows.append(f"| {figure} | " + " | ".join(f"{cell:,.2f} ({cell / base:.2f})" for cell in cells) + " |")
    rows.append("| idle RSS MB | " + " | ".join(f"{each.idle_rss / 1e6:.0f}" for each in playing) + " |")
    rows.append("| start to first answer s | " + " | ".join(f"{each.ready_after:.2f}" for each in playing) + " |")
    return "\n".join(rows)


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if os.cpu_count() == 1 or not shutil.which("wrk"):
        raise SystemExit("this needs two cores and wrk (Debian: apt-get install wrk)")
    playing = measure(arguments)
    told = table(playing)
    print(told)
    if arguments.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        figures = {
            each.name: {**each.figures, "idle_rss": each.idle_rss, "ready": each.ready_after} for each in playing
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2))
        arguments.json.with_suffix(".md").write_text(told + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
