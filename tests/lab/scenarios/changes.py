"""The configuration under way: written again and again, unreadable, its providers removed and their keys rotated."""

import asyncio
import json
import random
import signal
from pathlib import Path
from typing import Any

from lab.gateway import Sidestep
from lab.playing import configuration, telemetry
from lab.scenario import scenario, scenarios_in
from lab.stage import Stage

FILES = "The configuration"
CALM = {"timeout": "4s"}
WRITES = 10
"""Writes in quick succession, each of them in pieces, before the file is left alone for long enough to be read."""


def _described(documents: dict[str, Any], name: str, model: str) -> str:
    """The routes file in block style, the primary's model last: cut anywhere in there, it is a good file still."""
    providers = dict(documents["providers"])
    last = providers.pop(name) | {"models": {}}
    del last["models"]
    sections = [f"{key}: {json.dumps(documents[key])}" for key in documents if key != "providers"]
    lines = [f"    {key}: {json.dumps(value)}" for key, value in last.items()]
    others = [f"  {key}: {json.dumps(value)}" for key, value in providers.items()]
    return "\n".join([*sections, "providers:", *others, f"  {name}:", *lines, "    models:", f"      default: {model}"])


async def _write_in_pieces(file: Path, text: str, chance: random.Random) -> None:
    cuts = sorted(chance.randrange(len(text)) for _ in range(2))
    # The last one within the model's name more often than not: that is where half a file is a good one.
    cuts.append(len(text) - chance.randrange(1, 12))
    with file.open("w") as stream:
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
            stream.write(text[start:end])
            stream.flush()
            await asyncio.sleep(chance.uniform(0, 0.02))


@scenario(FILES, "no half-written file is ever in force; the last one is, within 2 s", primary=CALM)
async def written_in_pieces_hundreds_of_times(stage: Stage) -> None:
    documents, _ = configuration(written_in_pieces_hundreds_of_times, stage, telemetry(stage.ours))
    file, chance = stage.ours.folder / "routes.yaml", stage.random
    written: list[str] = []
    load = asyncio.ensure_future(_ask_until(stage, lambda: len(written) >= stage.requests))
    while len(written) < stage.requests:
        for _ in range(WRITES):
            written.append(f"model-{chance.randrange(10**9):09}-whole")
            await _write_in_pieces(file, _described(documents, stage.names[0], written[-1]), chance)
        await asyncio.sleep(1.2 + chance.uniform(0, 0.3))
    await load
    seen = {asked.get("model") for asked in stage.primary.requests}
    stage.expect(seen <= {*written, "small"}, f"in force: {sorted(seen - {*written, 'small'})}")
    stage.expect(all(sent.answered for sent in stage.history.sent), "requests suffered")

    async def last() -> bool:
        await stage.ask()
        return stage.primary.requests[-1].get("model") == written[-1]

    await stage.eventually(last, "the last one was not seen", within=6)
    stage.see(f"{len(written)} writes, {len(seen - {'small'})} of them were in force, all of them whole")


async def _ask_until(stage: Stage, over: Any) -> None:
    while not over():
        await stage.ask()
        await asyncio.sleep(0.02)


@scenario(FILES, "told as stale, the last good one serves on; a readable one is taken", primary=CALM, fast=True)
async def files_that_cannot_be_read(stage: Stage) -> None:
    gateway = stage.ours
    file, aside = gateway.folder / "routes.yaml", gateway.folder / "routes.aside"
    file.replace(aside)
    for name in ("a folder", "a link to nowhere", "a link to itself"):
        if name == "a folder":
            file.mkdir()
        else:
            file.symlink_to(gateway.folder / ("nowhere" if name == "a link to nowhere" else "routes.yaml"))
        gateway.child.send_signal(signal.SIGHUP)
        await stage.eventually(lambda: _stale(gateway, stale=True), f"{name}: not told as stale", within=8)
        stage.expect((await stage.ask()).answered, f"{name} ended the service")
        if name == "a folder":
            file.rmdir()
        else:
            file.unlink()
        file.write_bytes(aside.read_bytes())
        await stage.eventually(lambda: _stale(gateway, stale=False), f"after {name}: stale still", within=8)
        file.unlink()
    aside.replace(file)
    await stage.eventually(lambda: _stale(gateway, stale=False), "stale at the end", within=8)


async def _stale(gateway: Sidestep, *, stale: bool) -> bool:
    """Whether both the operator's page and the metric say so."""
    page = await gateway.metrics()
    status = json.loads((await gateway.operator("/admin/status")).body)
    return (page.sum("sidestep_config_last_reload_successful") == 0) is stale and status["reload"]["ok"] is not stale


OTHER_KEY = "canary-primary-rotated-5d1e0c"


@scenario(
    FILES,
    "no failed request; streams finish with the provider and the key that they began with, later calls use the new one",
    primary=CALM,
    policy={"timeouts": {"total": "60s"}},
    fast=True,
)
async def a_key_rotated_and_a_provider_removed_under_load(stage: Stage) -> None:
    stage.history.deadline = 60.0
    stage.history.canaries += (OTHER_KEY,)
    documents, policy = configuration(a_key_rotated_and_a_provider_removed_under_load, stage, telemetry(stage.ours))
    first, second = stage.names
    stage.primary.interval = 0.3
    streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(10)]
    await stage.primary.until(lambda: len(stage.primary.requests) >= 10, within=10)
    stage.primary.interval = 0.0
    load = asyncio.ensure_future(stage.storm(stage.requests * 2, pause=0.02))
    await asyncio.sleep(0.2)
    documents["providers"][first]["api_key"] = OTHER_KEY
    documents["providers"][f"{first}-rotated"] = documents["providers"][first] | {"priority": 9}
    documents["routes"][0]["providers"].append(f"{first}-rotated")
    await stage.ours.configure(documents, policy)
    rotated = len(stage.primary.requests)
    await asyncio.sleep(0.3)
    del documents["providers"][first], documents["providers"][f"{first}-rotated"]
    documents["routes"][0]["providers"] = [second]
    documents["providers"][f"{second}-last"] = documents["providers"][second] | {"priority": 9}
    documents["routes"][0]["providers"].append(f"{second}-last")
    await stage.ours.configure(documents, policy)
    removed = len(stage.primary.requests)
    sent = await load + await asyncio.gather(*streams)
    stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} requests failed")
    stage.expect(all(each.text.startswith("primary:") for each in sent[-10:]), "a stream changed its provider")
    keys = [asked.headers.get("authorization") for asked in stage.primary.requests]
    stage.expect(
        keys[rotated + 4 : removed] == [f"Bearer {OTHER_KEY}"] * (removed - rotated - 4), "the old key was used"
    )
    stage.expect(len(stage.primary.requests) <= removed + 4, "a provider that was removed was called")
    stage.see(f"{rotated} calls with the old key, {removed - rotated} with the new one, {len(sent)} answered")


SCENARIOS = scenarios_in(globals())
