"""What operators and their machines do: bad files, a thousand reloads, signals, dead collectors, full pipes."""

import asyncio
import json
import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.client import RawClient, request
from lab.configuration import write
from lab.gateway import OPERATOR_KEY, SERVER, Sidestep, lines_of, sidestep
from lab.playing import configuration, telemetry
from lab.ports import unused_port
from lab.scenario import Scenario, scenario, scenarios_in
from lab.stage import Stage

FILES = "The configuration"
LIFE = "The process"
LISTENER = "The operator's listener"
CALM = {"timeout": "4s"}


def _documents(stage: Stage, changes: Scenario) -> tuple[dict[str, Any], dict[str, Any]]:
    return configuration(changes, stage, telemetry(stage.ours))


# Files

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
    "nothing": "",
    "half a file": '{"version": 1, "providers": {"a"',
}


@scenario(FILES, "refused whole, with file and line; the last good one serves on", primary=CALM)
async def files_that_are_wrong(stage: Stage) -> None:
    routes = stage.ours.folder / "routes.yaml"
    good = routes.read_text()
    for name, text in BAD_FILES.items():
        refused = (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="refused")
        routes.write_text(text)
        stage.ours.child.send_signal(signal.SIGHUP)

        async def told(refused: float = refused) -> bool:
            return (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="refused") > refused

        await stage.eventually(told, f"{name} was not refused", within=10)
        stage.expect((await stage.ask()).answered, f"{name} ended the service")
    lines = [line for line in lines_of(stage.ours.stdout) if line.get("problems")]
    stage.expect(all("routes.yaml" in line["problems"][0] for line in lines), "a problem without its file")
    page = await stage.ours.metrics()
    stage.expect(page.sum("sidestep_config_last_reload_successful") == 0, "it does not say that its files are refused")
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
    primary=CALM | {"breaker": {"failures": 3, "open_for": "60s"}},
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
    load = asyncio.ensure_future(stage.storm(stage.requests * 8, pause=0.03))
    reloads, before = 0, (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="ok")
    while not load.done():
        reloads += 1
        policy["timeouts"] = {"total": f"{60 + reloads % 7}s"}
        write(stage.ours.folder, documents, policy)
        stage.ours.child.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.03)
    sent = await load + await asyncio.gather(*streams)
    stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} requests failed")
    stage.expect(await stage.breaker() == "open", "the breaker was forgotten")
    done = (await stage.ours.metrics()).sum("sidestep_config_reloads_total", result="ok") - before
    stage.see(f"{done:.0f} reloads, {len(sent)} answered, {sum(one.failed for one in sent)} errors")


# Life and death


@contextmanager
def _own(stage: Stage, changes: dict[str, Any] | None = None, **more: Any) -> Iterator[Sidestep]:
    """A program for this scenario alone, over the stage's upstreams; `changes` of its server section."""
    stage.history.uncounted = True
    documents, policy = configuration(_PLAIN, stage, (changes or {}).pop("telemetry", {"traces": {"exporter": "none"}}))
    documents["server"] = SERVER | (changes or {})
    with tempfile.TemporaryDirectory() as folder, sidestep(Path(folder), documents, policy, **more) as program:
        stage.gateway = program
        yield program


async def _nothing(stage: Stage) -> None:
    """A scenario that is only a configuration."""


_PLAIN = Scenario(name="", chapter="", expected="", play=_nothing, primary=CALM, policy={"timeouts": {"total": "30s"}})


def _calm(stage: Stage, program: Sidestep) -> None:
    stage.expect("Traceback" not in program.stdout + program.stderr, f"a traceback: {program.stderr[-300:]}")
    stage.expect(not program.stderr, f"stderr: {program.stderr[-300:]}")


async def _end(program: Sidestep, within: float) -> int | None:
    """Wait for the end of the process; None when it does not come."""
    for _ in range(int(within / 0.02)):
        if (status := program.child.poll()) is not None:
            return status
        await asyncio.sleep(0.02)
    return None


@scenario(LIFE, "not ready at once; running streams finish; exit status 0", alone=True, fast=True)
async def SIGTERM_with_streams(stage: Stage) -> None:  # noqa: N802  its name in the table
    stage.primary.interval = 0.15
    with _own(stage, {"drain": {"delay": "200ms", "timeout": "20s"}}) as program:
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(20)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 20, within=10)
        program.child.terminate()

        async def unready() -> bool:
            return (await program.operator("/readyz")).status == 503

        await stage.eventually(unready, "still ready")
        sent = await asyncio.gather(*streams)
        stage.expect(all(each.answered for each in sent), f"{sum(each.failed for each in sent)} of 20 streams were cut")
        stage.expect(await _end(program, 10) == 0, "it did not end with 0")
        _calm(stage, program)
    stage.see("20 streams finished, exit status 0" if not stage.broken else "cut")


@scenario(LIFE, "every stream gets an error frame, never a [DONE]; exit status 0", fault="stall:2", alone=True)
async def SIGTERM_and_streams_that_do_not_end(stage: Stage) -> None:  # noqa: N802
    stage.history.deadline = 30
    with _own(stage, {"drain": {"delay": "0s", "timeout": "200ms"}}) as program:
        write_slowly = {"timeouts": {"connect": "1s", "idle": "30s", "total": "60s"}}
        await program.configure(
            configuration(_PLAIN, stage, {"traces": {"exporter": "none"}})[0]
            | {"server": SERVER | {"drain": {"delay": "0s", "timeout": "200ms"}}},
            write_slowly,
        )
        streams = [asyncio.ensure_future(stage.ask(f"stream-{number}", stream=True)) for number in range(5)]
        await stage.primary.until(lambda: len(stage.primary.requests) == 5, within=10)
        await asyncio.sleep(0.2)
        program.child.terminate()
        sent = await asyncio.gather(*streams)
        stage.expect(not any(each.done for each in sent), "a cut stream ended with [DONE]")
        framed = sum(each.error is not None for each in sent)
        stage.expect(framed == 5, f"only {framed} of 5 were told why")
        stage.expect(await _end(program, 10) == 0, "it did not end with 0")
        stage.see(f"{framed} of 5 streams got their error frame")
    stage.history.sent.clear()  # judged above; a stream that was cut is I1's business only while it serves


@scenario(LIFE, "ready within 1.5 s, nothing stale left behind", alone=True)
async def SIGKILL_and_restart(stage: Stage) -> None:  # noqa: N802
    loop = asyncio.get_running_loop()
    with _own(stage) as program:
        stage.expect((await stage.ask()).answered, "not answered before")
        program.child.kill()
        program.child.wait()
    begun = loop.time()
    with _own(stage) as program:
        took = loop.time() - begun
        stage.expect((await stage.ask()).answered, "not answered after")
        stage.expect(not stage.history.timed or took <= 1.5, f"ready after {took:.2f} s")
        _calm(stage, program)
    stage.figures["ready"] = took * 1000
    stage.see(f"ready after {took:.2f} s")


@scenario(LIFE, "sheds what is new, recovers by itself, no traceback", alone=True)
async def descriptors_run_out(stage: Stage) -> None:
    with _own(stage) as program:
        await stage.ask()
        resource.prlimit(program.child.pid, resource.RLIMIT_NOFILE, (program.descriptors() + 12, 4096))
        wires = [RawClient(program.port) for _ in range(40)]
        entered = [await wire.__aenter__() for wire in wires]
        await asyncio.sleep(0.3)
        for wire in entered:
            await wire.__aexit__(None, None, None)

        async def recovered() -> bool:
            try:
                async with asyncio.timeout(1):
                    async with RawClient(program.port) as client:
                        return (await client.ask(program.chat("again"))).status == 200
            except (TimeoutError, ConnectionError, OSError, ValueError):
                return False

        await stage.eventually(recovered, "it did not recover", within=8)
        stage.expect("Traceback" not in program.stderr, f"a traceback: {program.stderr[-300:]}")
    stage.see("answers again" if not stage.broken else "does not recover")


# Collectors and pipes


def collecting(name: str, behaviour: str) -> Scenario:
    """A collector that is no help."""

    async def play(stage: Stage) -> None:
        async with _deaf_collector(behaviour) as port:
            traces = {"endpoint": f"http://127.0.0.1:{port}", "protocol": "http"}
            with _own(stage, {"telemetry": {"traces": traces}}) as program:
                sent = await stage.storm()
                stage.expect(all(each.answered for each in sent), "requests suffered")
                stage.expect("Traceback" not in program.stderr, f"a traceback: {program.stderr[-300:]}")
                program.child.terminate()
                stage.expect(await _end(program, 10) == 0, "it did not end within 10 s")

    return Scenario(
        name=name,
        chapter=LIFE,
        expected="costs nothing but spans; it still ends in time",
        play=play,
        alone=True,
        fast=behaviour == "hangs",
    )


class _deaf_collector:  # noqa: N801  used like a function
    """A port where nobody answers: `refused`, or accepts and `hangs`."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour, self.server = behaviour, None

    async def __aenter__(self) -> int:
        if self.behaviour == "refused":
            return unused_port()
        self.server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        if self.server is not None:
            self.server.close()


COLLECTORS = [
    collecting("the collector refuses connections", "refused"),
    collecting("the collector hangs", "hangs"),
]


@scenario(LIFE, "lines are dropped and counted; requests are answered", alone=True, fast=True)
async def nobody_reads_stdout(stage: Stage) -> None:
    taken, given = os.pipe()
    try:
        ports = (f"127.0.0.1:{unused_port()}", f"127.0.0.1:{unused_port()}")
        with _own(stage, stdout=given, arguments=("--listen", ports[0], "--admin", ports[1])):
            sent = await stage.storm(max(300, stage.requests * 3))  # a pipe holds 64 KiB: about 150 lines
            stage.expect(all(each.answered for each in sent), "requests suffered")
    finally:
        os.close(taken)
        os.close(given)


# The operator's listener


@scenario(LISTENER, "401, 403 or 404; the app's requests are unaffected", primary=CALM, fast=True)
async def strangers_at_the_operator_s_door(stage: Stage) -> None:
    async def told(path: str, method: str = "GET", **headers: str) -> int:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await stage.ours.operator(path, method, fields)).status

    bearer = f"Bearer {OPERATOR_KEY}"
    tries = {
        "no token": await told("/admin/status"),
        "a wrong token": await told("/admin/status", Authorization="Bearer wrong"),
        "a token in another scheme": await told("/admin/status", Authorization=f"Basic {OPERATOR_KEY}"),
        "a foreign host": await told("/admin/status", Host="evil.example", Authorization=bearer),
        "a foreign origin": await told("/admin/status", Origin="http://evil.example", Authorization=bearer),
        "a climbing path": await told("/metrics/../admin/status"),
        "no token for a reload": await told("/admin/reload", "POST"),
    }
    for name, status in tries.items():
        stage.expect(status in (400, 401, 403, 404), f"{name}: {status}")
    stage.see(", ".join(f"{name} {status}" for name, status in tries.items()))
    stage.expect((await stage.ask()).answered, "the app's request was not answered")


@scenario(LISTENER, "refused before it is read", primary=CALM)
async def ten_megabytes_for_the_operator(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    async with RawClient(stage.ours.admin_port) as client:
        await client.send(request("POST", "/admin/reload", body=b"", headers=headers | {"Content-Length": "10485760"}))
        async with asyncio.timeout(10):
            status = (await client.response()).status
    stage.see(str(status))
    stage.expect(status in (400, 404, 413), str(status))


@scenario(LISTENER, "the number of series stays what it was; every line of the log is JSON", primary=CALM, fast=True)
async def thousands_of_invented_names(stage: Stage) -> None:
    before = (await stage.ours.metrics()).series
    chance = stage.random
    await stage.ask(model="first")
    early = (await stage.ours.metrics()).series
    for number in range(stage.requests * 5):
        word = "".join(chr(chance.randrange(1, 0xD7FF)) for _ in range(20))
        await stage.ask(model=f"m{number}{word}", headers={"x-request-id": f"r{number}", f"x-h{number}": "y"})
    after = (await stage.ours.metrics()).series
    stage.see(f"{before} series, then {early}, after {stage.requests * 5} names {after}")
    stage.expect(after <= early + 5, f"{after - early} series more")
    json.dumps(lines_of(stage.ours.stdout))


SCENARIOS = [each for each in scenarios_in(globals()) if each.name] + COLLECTORS
