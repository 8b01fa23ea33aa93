import asyncio
import errno
import logging
import os
import resource
import socket
from math import inf

import pytest
from lab.client import RawClient
from lab.configuration import routes
from lab.sidecar import eventually, process

from proxy.server import descriptors


@pytest.fixture
def limits(monkeypatch):
    """The limits on open files that the process seems to have: `limits[:]` is soft and hard."""
    found = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(found))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: found.__setitem__(slice(2), both))
    return found


def test_the_limit_is_raised_as_far_as_it_goes(limits):
    descriptors.raise_limit()

    assert limits == [4096, 4096]


def test_every_client_leaves_room_for_its_provider(limits):
    assert descriptors.room() == (1024 - 64) // 2


def test_there_is_always_room_for_one(limits):
    limits[0] = 10

    assert descriptors.room() == 1


def test_without_a_limit_there_is_room_for_all(limits):
    limits[0] = resource.RLIM_INFINITY

    assert descriptors.room() == inf


async def test_a_shortage_is_told_in_one_line(caplog):
    loop = asyncio.get_running_loop()
    descriptors.report_shortage(loop)
    for _ in range(100):
        loop.call_exception_handler({"message": "accept", "exception": OSError(errno.EMFILE, "too many")})

    (line,) = caplog.records
    assert line.message == "no file descriptor is left for new connections; they wait"
    assert line.exc_info is None


async def test_any_other_mishap_is_told_as_ever(caplog):
    loop = asyncio.get_running_loop()
    descriptors.report_shortage(loop)
    with caplog.at_level(logging.ERROR):
        loop.call_exception_handler({"message": "something else", "exception": ValueError()})
        loop.call_exception_handler({"message": "no exception"})

    assert [record.message for record in caplog.records] == ["something else", "no exception"]


async def test_the_program_gets_over_a_shortage_by_itself(upstream):
    async with process(routes({"p1": upstream})) as program:
        assert (await program.chat("before")).status == 200
        open_files = len(os.listdir(f"/proc/{program.child.pid}/fd"))  # noqa: PTH208  only their number counts
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.prlimit(program.child.pid, resource.RLIMIT_NOFILE, (open_files + 10, hard))
        crowd = [socket.create_connection(("127.0.0.1", program.port)) for _ in range(50)]
        await asyncio.sleep(0.2)
        for each in crowd:
            each.close()

        async def answers():
            try:
                return (await program.chat("after")).status == 200
            except (ConnectionError, EOFError):
                return False

        await eventually(answers, within=10)
        assert not program.stderr.read_text()


async def test_the_cap_on_connections_holds_in_the_program(upstream):
    one = routes({"p1": upstream}, server={"limits": {"connections": 1}})
    async with process(one) as program, RawClient(program.port), RawClient(program.port) as second:
        assert await second.closed(within=5)
