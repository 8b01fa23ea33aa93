"""A program of its own for one scenario, which may end it, starve it and deceive it."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.gateway import SERVER, Sidestep, sidestep
from lab.playing import configuration
from lab.scenario import Scenario
from lab.stage import Stage

QUIET = {"traces": {"exporter": "none"}}
"""A telemetry section without a collector."""
CALM = {"timeout": "4s"}
"""A primary that gets a busy machine's patience."""


async def _nothing(stage: Stage) -> None:
    """A scenario that is only a configuration."""


def setting(**changes: Any) -> Scenario:
    """Two calm providers and half a minute for each request; `primary`, `secondary` and `policy` change that."""
    patient = {"timeouts": {"total": "30s"}}
    fields = {"primary": CALM | changes.get("primary", {}), "secondary": changes.get("secondary", {})}
    policy = patient | changes.get("policy", {})
    return Scenario(name="", chapter="", expected="", play=_nothing, policy=policy, **fields)


PLAIN = setting()


@contextmanager
def own(
    stage: Stage,
    server: Mapping[str, Any] | None = None,
    telemetry: Mapping[str, Any] = QUIET,
    plan: Scenario = PLAIN,
    **more: Any,
) -> Iterator[Sidestep]:
    """A program for this scenario alone, over the stage's upstreams; `server` changes its section of that name."""
    stage.history.uncounted = True
    documents, policy = configuration(plan, stage, telemetry)
    documents["server"] = SERVER | dict(server or {})
    with tempfile.TemporaryDirectory() as folder, sidestep(Path(folder), documents, policy, **more) as program:
        stage.gateway = program
        yield program


def calm(stage: Stage, program: Sidestep) -> None:
    """Expect that it told of no mistake of its own."""
    stage.expect("Traceback" not in program.stdout + program.stderr, f"a traceback: {program.stderr[-300:]}")
    stage.expect(not program.stderr, f"stderr: {program.stderr[-300:]}")


async def end(program: Sidestep, within: float) -> int | None:
    """Wait for the end of the process; None when it does not come within that many seconds."""
    for _ in range(int(within / 0.02)):
        if (status := program.child.poll()) is not None:
            return status
        await asyncio.sleep(0.02)
    return None
