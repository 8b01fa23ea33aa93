"""At the operator's own listener: strangers, floods, and names that somebody made up."""

import asyncio
import contextlib
import json

from lab.client import RawClient, request
from lab.gateway import OPERATOR_KEY, lines_of
from lab.scenario import scenario, scenarios_in
from lab.stage import Stage

LISTENER = "The operator's listener"
CALM = {"timeout": "4s"}


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


METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND")


@scenario(LISTENER, "refused one by one; the number of series stays what it was, every line is JSON", primary=CALM)
async def thousands_of_invented_paths(stage: Stage) -> None:
    stage.history.uncounted = True
    chance = stage.random
    early, statuses = 0, set()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(stage.gateway.client())
        for number in range(stage.requests * 10):
            if number == 50:  # what is counted at all has been by now
                early = (await stage.ours.metrics()).series
            method, word = chance.choice(METHODS), "".join(chance.choices("abcdef%20/;=&?~.-", k=12))
            fields = {"Authorization": f"Bearer {stage.gateway.key}", "Content-Length": "0", f"x-{number}": word}
            response = await client.ask(request(method, f"/v1/{word}{number}", headers=fields), method=method)
            statuses.add(response.status)
            if response.status == 400:  # malformed: what follows on the connection could not be trusted
                client = await stack.enter_async_context(stage.gateway.client())
    after = (await stage.ours.metrics()).series
    stage.see(f"{stage.requests * 10} paths, {sorted(statuses)}, {early} series, then {after}")
    stage.expect(statuses <= {400, 404, 405}, f"{sorted(statuses)}")
    stage.expect(after <= early + 5, f"{after - early} series more")
    stage.expect(not stage.primary.requests, "a provider was asked")
    stage.expect((await stage.ask()).answered, "the app's request was not answered")
    json.dumps(lines_of(stage.ours.stdout))


SCENARIOS = scenarios_in(globals())
