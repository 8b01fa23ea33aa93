"""The engine inside a program: no listener, no task left behind, the files watched, the program's own logging."""

import asyncio
import logging
import socket
import subprocess
import sys

import pytest
from lab.configuration import write
from lab.sidecar import eventually
from lab.upstream import Upstream

from proxy import AIProviderManager
from proxy.errors import ConfigError

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def file(tmp_path, documents):
    return write(tmp_path, documents, {})


@pytest.fixture
async def manager(file):
    async with AIProviderManager.from_files(file, environment={}) as manager:
        yield manager


async def test_nothing_listens(file, monkeypatch):
    listening = []
    listen = socket.socket.listen

    def noted(listener, *backlog):
        listening.append(listener)
        return listen(listener, *backlog)

    monkeypatch.setattr(socket.socket, "listen", noted)
    async with AIProviderManager.from_files(file, environment={}) as manager:
        await manager.generate_text(HELLO)
    assert listening == []
    async with Upstream("p3"):
        assert len(listening) == 1  # a listener would have been noticed


def background():
    """The names of our tasks; the lab has others in the same loop."""
    return {task.get_name() for task in asyncio.all_tasks()} & {"sensor", "reload", "health checks"}


async def test_what_runs_beside_the_calls_ends_with_the_manager(tmp_path, documents):
    file = write(tmp_path, documents, {"health": {"interval": "60s"}})
    async with AIProviderManager.from_files(file, environment={}) as manager:
        await manager.generate_text(HELLO)
        assert background() == {"sensor", "reload", "health checks"}
    assert background() == set()


async def test_a_program_that_starts_and_ends_one_says_nothing(file):
    code = (
        "import asyncio, sys; from proxy import AIProviderManager\n"
        "async def main():\n"
        "    async with AIProviderManager.from_files(sys.argv[1], environment={}) as manager:\n"
        f"        assert 'error' not in await manager.generate_text({HELLO})\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-Walways::ResourceWarning", "-c", code, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_files_that_are_not_good_are_refused_with_every_problem(tmp_path):
    file = tmp_path / "routes.yaml"
    file.write_text("version: 1\nprovider: {}\nrutes: []\n")
    with pytest.raises(ConfigError) as caught:
        async with AIProviderManager.from_files(file):
            pass
    assert len(caught.value.problems) >= 2
    assert all(str(problem).startswith(str(file)) for problem in caught.value.problems)


async def test_a_changed_file_is_taken_over(manager, file):
    file.write_text(file.read_text().replace('"priority": 1', '"priority": 7'))

    async def changed():
        return manager.get_provider_status()["providers"]["pollinations"]["priority"] == 7

    await eventually(changed, within=10)


async def test_a_request_is_logged_where_the_program_logs(manager, caplog):
    with caplog.at_level(logging.INFO, logger="sidestep"):
        result = await manager.generate_text(HELLO)
    (line,) = [record for record in caplog.records if record.name == "sidestep.request"]
    assert (line.request_id, line.provider, line.status) == (result["request_id"], "pollinations", 200)


async def test_a_stream_that_was_read_to_its_end_is_a_success(manager):
    assert [piece async for piece in manager.stream_text(HELLO)]
    assert manager.get_statistics()["outcomes"] == {"ok": 1}
    assert manager.get_provider_status()["in_flight"] == 0


async def test_a_stream_that_was_left_is_counted_as_such_and_blames_nobody(manager):
    stream = manager.stream_text(HELLO)
    await anext(stream)
    assert manager.get_provider_status()["in_flight"] == 1
    await stream.aclose()
    status = manager.get_provider_status()
    assert status["statistics"]["outcomes"] == {"cancelled": 1}
    assert (status["in_flight"], status["providers"]["pollinations"]["circuit_breaker"]["failure_count"]) == (0, 0)


async def test_the_limit_on_requests_in_flight_holds_here_too(tmp_path, documents, p1):
    documents["server"]["limits"] = {"in_flight": 1}
    p1.fault = "stall:2"
    async with AIProviderManager.from_files(write(tmp_path, documents, {}), environment={}) as manager:
        stream = manager.stream_text(HELLO)
        await anext(stream)
        result = await manager.generate_text(HELLO)
        await stream.aclose()
    assert (result["code"], result["status"]) == ("overloaded", 503)
