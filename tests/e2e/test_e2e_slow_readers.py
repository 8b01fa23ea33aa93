"""Clients that read slowly or not at all: bounded memory for each, cut off in the end, and nobody else notices."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from lab.client import request
from lab.configuration import routes
from lab.exchange import Exchange, frame
from lab.fault import FAULTS, Fault
from lab.sidecar import chat, eventually, process, running

READERS = 200
WARM_UP = 50
"""Requests before the first look at the memory, so that what is made once is there."""
EACH = 320 * 1024
"""Bytes that a slow reader may cost, what the kernel holds for it not counted: 160 KiB as a rule, more where the
machine is so busy that one read brings all that a provider has sent meanwhile."""
UNSENT = 200 * 1024
"""Bytes that the kernel may hold for one of them on our side."""
PATIENT = {"timeouts": {"connect": "5s", "first_output": "30s", "idle": "30s", "total": "120s"}}


async def flood(exchange: Exchange, _: Fault) -> None:
    """A stream that goes on as fast as it is taken, until its reader leaves."""
    await exchange.tell()
    events = [frame(each) for each in exchange.events.output] * 10
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    while True:
        await exchange.wire.send(chunks)


@pytest.fixture(autouse=True)
def a_fault_of_our_own(monkeypatch):
    monkeypatch.setitem(FAULTS, "flood", flood)


class Lazybones:
    """A client that asks and then reads only when it is told to, with next to no buffer of its own."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(0)
        self.port = port

    async def ask(self, **fields):
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        await loop.sock_sendall(self.socket, request(document=chat("question", **fields)))

    async def read(self, count=65536):
        return await asyncio.get_running_loop().sock_recv(self.socket, count)

    async def ended(self):
        """Read on until the end; whether it was one."""
        try:
            while await self.read():
                pass
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def readers(port, count=1, **fields):
    async with AsyncExitStack() as stack:
        lazy = [Lazybones(port) for _ in range(count)]
        for each in lazy:
            stack.callback(each.socket.close)
        await asyncio.gather(*(each.ask(**({"stream": True} | fields)) for each in lazy))
        yield lazy


def resident(pid):
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def unsent(port):
    """For each connection that a listener on this port has: the bytes that the kernel holds for its client."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return [int(line[4].split(":")[0], 16) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"]


def _written(upstream):
    return sum(connection.bytes_out for connection in upstream.connections)


async def test_many_slow_readers_cost_little_each_and_nobody_else_notices(p1):
    p1.fault = "flood"
    async with process(routes({"p1": p1}), **PATIENT) as program:
        p1.fault = "ok"
        await asyncio.gather(*(program.chat(f"warm up {number}") for number in range(WARM_UP)))
        p1.fault = "flood"
        before = resident(program.child.pid)
        async with readers(program.port, READERS):

            async def all_are_stuck():
                written = _written(p1)
                await asyncio.sleep(0.3)
                return len(p1.requests) == READERS + WARM_UP and _written(p1) == written

            await eventually(all_are_stuck, within=60)
            p1.fault = "ok"
            answers = await asyncio.gather(*(program.chat(f"question {number}") for number in range(20)))
            each = (resident(program.child.pid) - before) / READERS
            kernel = unsent(program.port)
        print(f"a slow reader costs {each / 1024:.0f} KiB of memory and {max(kernel) / 1024:.0f} KiB in the kernel")

    assert {answer.status for answer in answers} == {200}
    assert each < EACH
    assert max(kernel) < UNSENT


async def test_a_client_that_takes_nothing_is_cut_off_and_its_provider_call_ends(p1):
    p1.fault = "flood"
    server = {"limits": {"write_time": "200ms"}}
    async with running(routes({"p1": p1}, server=server), **PATIENT) as sidecar:
        async with readers(sidecar.port) as (lazy,):
            await p1.until(lambda: p1.connections and p1.connections[0].closed is not None, within=10)
            assert await lazy.ended()
        (record,) = sidecar.records

    assert record.cancelled
    assert not record.failed
    assert record.attempts[0].failure.error_class == "cancelled"


async def test_a_client_that_takes_a_little_now_and_then_is_not_cut_off(p1):
    p1.fault = "tokens:1500"
    server = {"limits": {"write_time": "500ms"}}
    async with running(routes({"p1": p1}, server=server), **PATIENT) as sidecar, readers(sidecar.port) as (lazy,):
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            await asyncio.sleep(0.02)
            piece = await lazy.read(8192)
            assert piece, "cut off"
            answer += piece

    assert b"[DONE]" in answer
    assert len(answer) > 200_000


async def test_a_large_plain_answer_that_nobody_takes_is_cut_off_too(p1):
    p1.fault = "tokens:50000"
    server = {"limits": {"write_time": "200ms"}}
    async with running(routes({"p1": p1}, server=server), **PATIENT) as sidecar:
        listener = sidecar.sidecar._servers[-1][1]
        async with readers(sidecar.port, stream=False):
            await eventually(lambda: _true(len(p1.requests) == 1 and listener.connections), within=20)
            await eventually(lambda: _true(not listener.connections), within=20)
        (record,) = sidecar.records
        assert record.cancelled
        assert record.attempts[0].failure is None


async def _true(condition):
    return condition
