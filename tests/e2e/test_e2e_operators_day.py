"""An operator's day against the real program under load: deploy, edit, break, recover, disable, rotate a key, drain."""

import asyncio
import json

import aiohttp
from lab.configuration import provider, routes
from lab.sidecar import chat, eventually, process

TOKEN = "operators-own-token"


class App:
    """An app that keeps asking, four questions at a time, half of them streams, and remembers what it was told."""

    def __init__(self, url):
        self.url = url
        self.answers = []
        self.errors = []
        self._tasks = []

    async def __aenter__(self):
        self._session = aiohttp.ClientSession()
        self._tasks = [asyncio.create_task(self._keep_asking(number)) for number in range(4)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _keep_asking(self, number):
        asked = 0
        while True:
            asked += 1
            await self._ask(chat(f"question {number}-{asked}", stream=asked % 2 == 0))

    async def _ask(self, document):
        try:
            async with self._session.post(self.url, json=document) as answer:
                body = await answer.read()
        except aiohttp.ClientError as error:
            self.errors.append((0, None, repr(error).encode()))
            return
        good = answer.status == 200 and b'"error"' not in body
        (self.answers if good else self.errors).append((answer.status, answer.headers.get("x-sidestep-provider"), body))

    def served_since(self, mark):
        return {name for _, name, _ in self.answers[mark:]}

    async def until(self, seen, within=20.0):
        """Wait until the answers from now on come from exactly these providers."""

        async def holds():
            mark = len(self.answers)
            await eventually(lambda: ready(len(self.answers) >= mark + 12), within)
            return self.served_since(mark) == seen

        await eventually(holds, within)


async def manage(program, method, path, document=None):
    """One call of the operator's; returns its JSON."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    url = f"http://127.0.0.1:{program.admin_port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, json=document) as answer,
    ):
        return answer.status, json.loads(await answer.text())


async def test_an_operators_day(p1, p2):
    first = provider(p1, api_key="key-of-the-morning", retries=0)
    documents = routes({"p1": first, "p2": provider(p2)}, server={"admin": {"token": TOKEN}})
    async with process(documents, breaker={"open_for": "300ms", "max_open_for": "1s"}) as program:
        routes_file = program.stdout.parent / "routes.yaml"
        async with App(f"http://127.0.0.1:{program.port}/v1/chat/completions") as app:
            # Deploy: the primary serves.
            await app.until({"p1"})

            # Edit: the order is turned round in the file; the change is taken over and told.
            morning = (await manage(program, "GET", "/admin/status"))[1]["generation"]
            text = routes_file.read_text()
            routes_file.write_text(swapped(text))
            await app.until({"p2"})
            status = (await manage(program, "GET", "/admin/status"))[1]
            assert status["generation"] != morning
            assert status["reload"] == {"ok": True, "problems": []}

            # A bad edit changes nothing, and says so.
            routes_file.write_text("version: 1\nproviders: [\n")
            await told(program, lambda status: not status["reload"]["ok"])
            await app.until({"p2"})
            routes_file.write_text(text)
            await told(program, lambda status: status["reload"]["ok"] and status["generation"] == morning)
            await app.until({"p1"})

            # Break: the primary dies; nobody but the operator notices.
            await p1.go_down()
            await app.until({"p2"})
            await told(program, lambda status: status["providers"]["p1"]["circuit_breaker"]["state"] != "closed")

            # Recover: it comes back by itself.
            await p1.come_back()
            await app.until({"p1"})
            await told(program, lambda status: status["providers"]["p1"]["circuit_breaker"]["state"] == "closed")

            # Disable by hand, and enable again.
            code, state = await manage(program, "POST", "/admin/providers/p1/disable")
            assert (code, state["enabled"], state["overridden"]) == (200, False, True)
            await app.until({"p2"})
            assert (await manage(program, "POST", "/admin/providers/p1/enable"))[1]["enabled"] is True
            await app.until({"p1"})

            # Another strategy for a while.
            assert (await manage(program, "PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"}))[0] == 200
            await app.until({"p1", "p2"})
            assert (await manage(program, "POST", "/admin/overrides/reset"))[0] == 200
            await app.until({"p1"})

            # Rotate a key: the next calls carry the new one.
            routes_file.write_text(text.replace("key-of-the-morning", "key-of-the-evening"))
            await told(program, lambda status: status["generation"] != morning)
            await app.until({"p1"})
            assert p1.requests[-1].headers.get("authorization") == "Bearer key-of-the-evening"

            # Drain: whatever is asked is answered to its end, and then the program is gone.
            # A stream that was under way when the primary died was told so; nothing else ever failed.
            assert [error for error in app.errors if b"stream_broken" not in error[2]] == []
            assert len(app.errors) <= 4
        served = len(app.answers)
        assert served > 100
        statistics = (await manage(program, "GET", "/admin/stats"))[1]
        assert statistics["failover_count"] > 0
        assert statistics["total_requests"] >= served
        program.terminate()
        assert await program.ended() == 0
        log = program.stdout.read_text() + program.stderr.read_text()
    assert "key-of-the" not in log
    assert TOKEN not in log


def swapped(text):
    """The same configuration with the priorities turned round."""
    document = json.loads(text)
    providers = document["providers"]
    providers["p1"]["priority"], providers["p2"]["priority"] = providers["p2"]["priority"], providers["p1"]["priority"]
    return json.dumps(document)


async def told(program, holds, within=10.0):
    """Wait until the status says so."""

    async def said():
        return holds((await manage(program, "GET", "/admin/status"))[1])

    await eventually(said, within)


async def ready(value):
    return value
