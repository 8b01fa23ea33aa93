"""The configuration's files: wrong, half-written, swapped, gone, and changed a thousand times under load."""

import asyncio
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

from lab.configuration import write
from lab.gateway import lines_of
from lab.history import Sent
from lab.playing import configuration, telemetry
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

FILES = "The configuration"
CALM = {"timeout": "4s"}


def _documents(stage: Stage, changes: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    return configuration(changes, stage, telemetry(stage.ours))


def _routes(provider: dict[str, Any], *routes: dict[str, Any]) -> str:
    """A routes file over one provider."""
    described = {"dialect": "openai", "base_url": "http://127.0.0.1:9/v1"} | provider
    chat = {"match": {"path": "/v1/chat/completions"}, "providers": ["a"]}
    return json.dumps({"version": 1, "providers": {"a": described}, "routes": [chat | route for route in routes]})


WEIGHTLESS = _routes({"weight": 0}, {"name": "r", "policy": "weighted"})
UNREACHABLE = _routes({}, {"name": "r"}, {"name": "s", "match": {"path": "/v1/chat/completions", "model": "x"}})
NO_POLICY = _routes({}, {"name": "r", "policy": "defalt"})

BAD_FILES = {
    "a key twice": '{"version": 1, "version": 1}',
    "an unknown key": '{"version": 1, "provders": {}}',
    "a wrong type": '{"version": "one", "providers": 3}',
    "an alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    "10 MB": "# " + "x" * 10_000_000,
    "binary": "\x00\x01\x02\x7f",
    "tabs": "version: 1\n\tproviders: {}\n",
    "a missing variable": '{"version": 1, "providers": {"a": {"dialect": "openai", "base_url": "${LAB_NOWHERE}"}}}',
    "an unknown provider": '{"version": 1, "providers": {}, "routes": [{"name": "r", "match": {"path": "/v1/models"}, '
    '"providers": ["nobody"]}]}',
    "weights of 0 only": WEIGHTLESS,
    "a route that no request reaches": UNREACHABLE,
    "a policy that is not there": NO_POLICY,
    "nothing": "",
    "half a file": '{"version": 1, "providers": {"a"',
}


@scenario(FILES, "refused whole, with file and line; the last good one serves on", primary=CALM)
async def files_that_are_wrong(stage: Stage) -> None:
    routes = stage.ours.folder / "routes.yaml"
    good = routes.read_text()
    weighted = stage.ours.folder / "policies" / "weighted.yaml"
    weighted.write_text("{version: 1, strategy: weighted_round_robin}")
    quiet = len(stage.ours.stdout)
    for name, text in BAD_FILES.items():
        refused = (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="refused")
        routes.write_text(text)
        stage.ours.child.send_signal(signal.SIGHUP)

        async def told(refused: float = refused) -> bool:
            return (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="refused") > refused

        await stage.eventually(told, f"{name} was not refused", within=10)
        stage.expect((await stage.ask()).answered, f"{name} ended the service")
    lines = [line for line in lines_of(stage.ours.stdout[quiet:]) if line.get("problems")]
    placed = re.compile(r"/routes\.yaml(:\d+:\d+)?: ")
    stage.expect(all(placed.search(line["problems"][0]) for line in lines), "a problem without its file")
    told = "\n".join(problem for line in lines for problem in line["problems"])
    for word in ("did you mean 'providers'?", "did you mean 'default'?"):
        stage.expect(word in told, f"nobody is told: {word}")
    places = sum(bool(re.search(r":\d+:\d+: ", line["problems"][0])) for line in lines)
    stage.expect(places >= len(BAD_FILES) - 3, f"only {places} problems say where they are")  # no place in binary
    page = await stage.ours.metrics()
    stage.expect(page.sum("sidestep_config_last_reload_successful") == 0, "it does not say that its files are refused")
    weighted.unlink()
    routes.write_text(good)
    stage.ours.child.send_signal(signal.SIGHUP)

    async def mended() -> bool:
        return (await stage.ours.metrics()).sum("sidestep_config_last_reload_successful") == 1

    await stage.eventually(mended, "the good file was not taken", within=10)
    stage.see(f"{len(BAD_FILES)} files refused, all requests answered")


async def _seen(stage: Stage, name: str, within: float = 6.0) -> float:
    """Wait until a provider of that name is in force; the seconds that it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def in_force() -> bool:
        return f'provider="{name}"' in (await stage.ours.metrics()).text

    await stage.eventually(in_force, f"{name} was not seen", within=within)
    took = loop.time() - begun
    stage.expect(not stage.history.timed or took <= 2.0, f"{name} was seen after {took:.1f} s")
    return took


def _renamed(text: str, stage: Stage, name: str) -> str:
    """The same configuration with another name for its secondary."""
    return text.replace(f'"{stage.names[1]}"', f'"{name}"')


@scenario(FILES, "seen within 2 s without a signal, no half-written file ever in force", primary=CALM, fast=True)
async def written_in_pieces_renamed_swapped_deleted(stage: Stage) -> None:
    routes, base = stage.ours.folder / "routes.yaml", stage.names[1]
    good = routes.read_text()
    took = {}
    text = _renamed(good, stage, f"{base}-pieces")
    with routes.open("w") as file:
        for start in range(0, len(text), max(1, len(text) // 10)):
            file.write(text[start : start + max(1, len(text) // 10)])
            file.flush()
            await asyncio.sleep(0.03)
    took["pieces"] = await _seen(stage, f"{base}-pieces")
    other = stage.ours.folder / "routes.new"
    other.write_text(_renamed(good, stage, f"{base}-rename"))
    other.replace(routes)
    took["rename"] = await _seen(stage, f"{base}-rename")
    for number in (1, 2):  # as a ConfigMap does it: the file is a link into a folder that is itself a link
        version = stage.ours.folder / f"version-{number}"
        version.mkdir(exist_ok=True)
        (version / "routes.yaml").write_text(_renamed(good, stage, f"{base}-swap{number}"))
        link = stage.ours.folder / "data.new"
        link.symlink_to(version)
        link.replace(stage.ours.folder / "data")
        if number == 1:
            link.symlink_to(Path("data") / "routes.yaml")
            link.replace(routes)
        took[f"swap {number}"] = await _seen(stage, f"{base}-swap{number}")
    routes.unlink()
    for _ in range(5):
        stage.expect((await stage.ask()).answered, "a deleted file ended the service")
        await asyncio.sleep(0.25)
    routes.write_text(_renamed(good, stage, f"{base}-back"))
    took["back"] = await _seen(stage, f"{base}-back")
    stage.figures["seen"] = max(took.values()) * 1000
    stage.see(", ".join(f"{name} after {seconds:.1f} s" for name, seconds in took.items()))
    for file in ("version-1", "version-2"):
        (stage.ours.folder / file / "routes.yaml").unlink()
        (stage.ours.folder / file).rmdir()
    (stage.ours.folder / "data").unlink()


@scenario(
    FILES,
    "no failed request; streams finish on the generation that they began with; breakers survive",
    primary=CALM | {"breaker": {"failures": 3, "open_for": "300s"}},
    policy={"timeouts": {"total": "60s"}},
    fast=True,
)
async def reloads_without_end_under_load(stage: Stage) -> None:
    stage.history.deadline = 60.0
    documents, policy = _documents(stage, reloads_without_end_under_load)
    stage.primary.fault = "status:500"
    for _ in range(3):
        await stage.ask()
    stage.expect(await stage.breaker() == "open", "the breaker did not open")
    stage.secondary.interval = 0.2
    streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(10)]
    await stage.secondary.until(lambda: sum(one.streaming for one in stage.secondary.requests) >= 10, within=5)
    stage.secondary.interval = 0.0
    before = await _reloads(stage)
    started, wanted = time.monotonic(), 10 * stage.requests
    reloaded = asyncio.Event()
    load = asyncio.ensure_future(_until(reloaded, stage))
    done = 0.0
    while done < wanted and not load.done():
        for number in range(25):
            policy["timeouts"] = {"total": f"{60 + number}s"}
            write(stage.ours.folder, documents, policy)
            stage.ours.child.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.03)
        done = await _reloads(stage) - before
    took = time.monotonic() - started
    reloaded.set()
    sent = await load + await asyncio.gather(*streams)
    stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} requests failed")
    stage.expect(await stage.breaker() == "open", "the breaker was forgotten")
    stage.expect(done >= wanted and (not stage.history.timed or took <= 60), f"{done:.0f} reloads in {took:.0f} s")
    failed = sum(one.failed for one in sent)
    stage.see(f"{done:.0f} reloads in {took:.0f} s, {len(sent)} answered, {failed} errors")


async def _reloads(stage: Stage) -> float:
    return (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="ok")


async def _until(enough: asyncio.Event, stage: Stage) -> list[Sent]:
    """Ask, and go on asking until it is enough."""
    sent: list[Sent] = []
    while not enough.is_set():
        sent += await stage.storm(stage.requests, pause=0.03)
    return sent


SCENARIOS = scenarios_in(globals())
