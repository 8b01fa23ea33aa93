"""Events: a snapshot first, then what happens, to as many as may listen, until the sidecar ends."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from lab.client import RawClient, request
from lab.operator import TOKEN
from lab.sidecar import eventually

from proxy.server.admin import events
from proxy.server.admin.journal import MAX_LISTENERS


class Ear:
    """Reads one stream of events."""

    def __init__(self, client, response):
        self.response = response
        self._pieces = client.pieces(response)
        self._held = b""

    async def block(self):
        """Read up to the next blank line."""
        async with asyncio.timeout(5):
            while b"\n\n" not in self._held:
                self._held += await anext(self._pieces)
        block, _, self._held = self._held.partition(b"\n\n")
        return block.decode()

    async def next(self):
        """Read the next event: its name and its data."""
        name, data = (await self.block()).split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def until(self, name):
        """Read on to the next event of that name."""
        while True:
            found, data = await self.next()
            if found == name:
                return data

    async def ended(self):
        """Read to the end of the stream."""
        async with asyncio.timeout(5):
            async for _ in self._pieces:
                pass


@asynccontextmanager
async def listening(sidecar):
    async with RawClient(sidecar.admin_port) as client:
        await client.send(request("GET", "/admin/events", headers={"Authorization": f"Bearer {TOKEN}"}))
        yield Ear(client, await client.head())


async def test_the_first_event_is_the_status(sidecar):
    async with listening(sidecar) as ear:
        assert ear.response.headers.get("content-type") == "text/event-stream; charset=utf-8"
        assert ear.response.headers.get("cache-control") == "no-store"
        name, data = await ear.next()
    assert name == "snapshot"
    assert set(data["providers"]) == {"p1", "p2"}


async def test_a_request_is_told_when_it_is_over(sidecar):
    async with listening(sidecar) as ear:
        await ear.next()
        await sidecar.chat("hello")
        name, data = await ear.next()
    assert (name, data["provider"], data["outcome"]) == ("request", "p1", "ok")


async def test_a_failover_and_an_opened_breaker_are_told(p1, sidecar):
    p1.fault = "status:500"
    async with listening(sidecar) as ear:
        for _ in range(3):
            await sidecar.chat("hello")
        failover = await ear.until("failover")
        assert (failover["from"], failover["to"], failover["reason"]) == ("p1", "p2", "server_error")
        assert await ear.until("breaker") == {"provider": "p1", "state": "open"}


async def test_what_is_done_by_hand_is_told(sidecar, operator):
    async with listening(sidecar) as ear:
        await operator.change("POST", "/admin/providers/p2/disable")
        assert await ear.until("override") == {"provider": "p2", "enabled": False}


async def test_silence_is_broken_by_a_comment(sidecar, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    async with listening(sidecar) as ear:
        await ear.next()
        assert (await ear.block()).startswith(":")


async def test_events_that_were_lost_are_counted(sidecar):
    journal = sidecar.sidecar.journal
    async with listening(sidecar) as ear:
        await ear.next()
        for number in range(1000):  # without a pause in which the stream could take any
            journal.tell("override", {"number": number})
        assert (await ear.until("dropped"))["events"] == 1000 - 256


async def test_only_so_many_may_listen(sidecar, operator):
    for _ in range(MAX_LISTENERS):
        sidecar.sidecar.journal.join()
    response = await operator.ask("GET", "/admin/events")
    assert (response.status, response.json()["error"]["code"]) == (503, "too_many_listeners")


async def test_whoever_leaves_makes_room(sidecar):
    journal = sidecar.sidecar.journal
    for _ in range(MAX_LISTENERS - 1):
        journal.join()
    async with listening(sidecar) as ear:
        assert ear.response.status == 200

    async def left():
        return len(journal._listeners) < MAX_LISTENERS

    await eventually(left)
    async with listening(sidecar) as ear:
        assert ear.response.status == 200


async def test_the_end_of_the_sidecar_ends_the_stream_properly(sidecar):
    async with listening(sidecar) as ear:
        await ear.next()
        sidecar.sidecar.journal.close()
        await ear.ended()


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_nobody_listens_without_the_token(operator, token):
    assert (await operator.ask("GET", "/admin/events", token=token)).status == 401
