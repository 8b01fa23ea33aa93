"""Debian's Prometheus, run on deploy/'s own files with a clock sixty times as fast, against sidecars of a test."""

import asyncio
import json
import re
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lab.client import RawClient, request
from lab.ports import unused_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
START_TIME = 20.0
"""Seconds that it gets to become ready on a busy machine."""
_MINUTES = re.compile(r"(\[|for: )(\d+)m\b")


@dataclass(slots=True)
class Prometheus:
    """A Prometheus that runs, asked over its HTTP API."""

    port: int

    async def ask(self, path: str, **query: str) -> Any:
        """Return what the API holds under a path; an AssertionError when it has an objection."""
        target = f"/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        async with RawClient(self.port) as client:
            response = await client.ask(request("GET", target))
        answer = json.loads(response.body)
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluate an expression now."""
        return (await self.ask("query", query=expression))["result"]

    async def firing(self) -> set[tuple[str, str]]:
        """Tell which alerts fire: name, and the provider where there is one."""
        alerts = (await self.ask("alerts"))["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("provider", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }


def hurried(rules: str) -> str:
    """Make minutes of the rules' waits and windows into seconds, thresholds left alone."""
    return _MINUTES.sub(r"\1\2s", rules)


@asynccontextmanager
async def prometheus(folder: Path, targets: list[str]) -> AsyncIterator[Prometheus]:
    """Run it until the end of the block: deploy/prometheus.yaml with these targets, at 250 ms instead of 15 s."""
    config = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    config["global"] = dict.fromkeys(config["global"], "250ms")
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": targets}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (folder / "alerts.yaml").write_text(hurried((DEPLOY / "alerts.yaml").read_text()))
    port = unused_port()
    arguments = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *("prometheus", *arguments, f"--web.listen-address=127.0.0.1:{port}"), stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(START_TIME):
            while not await _ready(port):
                assert child.returncode is None, (folder / "prometheus.log").read_text()
                await asyncio.sleep(0.05)
        yield Prometheus(port)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


async def _ready(port: int) -> bool:
    try:
        async with RawClient(port) as client:
            return (await client.ask(request("GET", "/-/ready"))).status == 200
    except ConnectionRefusedError:
        return False
