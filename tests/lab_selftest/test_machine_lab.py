"""The machine that a scenario shows to a program, collectors that are no help, and a client that does not read."""

import asyncio
import os
import subprocess
import sys

import pytest
from lab.client import RawClient, request
from lab.deaf_collectors import WAYS, deaf_collector
from lab.lazy import LazyClient
from lab.machine_shims import GIB, ControlGroup
from lab.sidecar import eventually
from lab.upstream import Upstream

READ = """
from pathlib import Path
group = Path("/sys/fs/cgroup")
print(Path("/proc/self/cgroup").read_text().strip(), (group / "memory.max").exists())
print((group / "memory.max").read_text().strip(), (group / "memory.current").read_text().strip())
print((group / "memory.high").exists(), Path("/proc/self/status").exists())
"""


def test_a_program_reads_the_control_group_that_it_is_shown_and_every_other_file_as_it_is(tmp_path):
    group = ControlGroup(tmp_path)
    group.use(0.5)
    around = os.environ | dict(group.environment)
    told = subprocess.run([sys.executable, "-c", READ], env=around, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["0::/ True", f"{GIB} {GIB // 2}", "False True"]


@pytest.mark.parametrize("behaviour", ["hangs", "sips", "late"])
async def test_a_deaf_collector_takes_a_connection_and_answers_nothing(behaviour):
    async with deaf_collector(behaviour) as port, RawClient(port) as client:
        await client.send(request(body=b"spans"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.head()


async def test_a_collector_that_is_overloaded_says_so():
    assert "503" in WAYS
    async with deaf_collector("503") as port, RawClient(port) as client:
        assert (await client.ask(request(body=b"spans"))).status == 503


async def test_nobody_listens_where_a_collector_refuses():
    async with deaf_collector("refuses") as port:
        with pytest.raises(ConnectionRefusedError):
            await RawClient(port).__aenter__()


async def test_a_lazy_client_takes_next_to_nothing_of_a_stream_without_end():
    async with Upstream(fault="endless_stream") as upstream:
        with LazyClient(upstream.port) as client:
            document = {"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}]}
            await client.ask(request(document=document))
            await upstream.until(lambda: len(upstream.requests) == 1)
            (connection,) = upstream.connections

            async def held_back():
                before = connection.bytes_out
                await asyncio.sleep(0.1)
                return connection.bytes_out == before > 0

            await eventually(held_back)
            assert connection.bytes_out < 16 * 2**20
            await upstream.go_down()
            assert await client.cut(within=5)
