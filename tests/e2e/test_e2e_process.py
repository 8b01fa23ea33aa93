"""The program as an operator meets it: start, answer, drain, health, and the exit statuses of what went wrong."""

import asyncio
import json
import socket

import pytest
from lab.client import RawClient, request
from lab.configuration import CHAT, refusing, routes, write
from lab.sidecar import chat, eventually, finished, process
from lab.upstream import Upstream


@pytest.fixture
async def slow():
    async with Upstream("p1", tokens=40, interval=0.02) as upstream:
        yield upstream


async def test_it_starts_answers_and_ends_with_0(p1):
    async with process(routes({"p1": p1})) as program:
        assert (await program.chat("hello")).status == 200
        program.terminate()
        assert await program.ended() == 0
        told = [line["message"] for line in program.log if line["logger"] != "sidestep.provider"]
        assert told == ["listening", "request", "draining"]
        assert program.stderr.read_text() == ""


async def test_an_open_stream_finishes_after_sigterm(slow):
    async with process(routes({"p1": slow})) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        response = await client.head()
        pieces = client.pieces(response)
        response.body = await anext(pieces)
        program.terminate()
        async for piece in pieces:
            response.body += piece
        assert response.events()[-1] == "[DONE]"
        assert await program.ended() == 0


async def test_while_it_drains_it_is_alive_but_not_ready_and_accepts_nobody_new(slow):
    async with process(routes({"p1": slow})) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        await client.head()
        program.terminate()

        async def left():
            return (await program.admin("/readyz")).status == 503

        await eventually(left)
        assert (await program.admin("/livez")).status == 200
        assert (await program.admin("/metrics")).status == 200
        with pytest.raises(ConnectionRefusedError):
            await program.chat("too late")
        assert await program.ended() == 0


async def test_during_the_drain_delay_it_still_answers(p1):
    sections = {"server": {"drain": {"delay": "400ms", "timeout": "1s"}}}
    async with process(routes({"p1": p1}, **sections)) as program:
        program.terminate()

        async def draining():
            return (await program.admin("/readyz")).status == 503

        await eventually(draining)
        assert (await program.chat("still")).status == 200
        assert await program.ended() == 0


async def test_a_second_signal_ends_it_at_once_and_the_stream_with_it(p1):
    p1.fault = "stall:2"
    clocks = {"connect": "1s", "idle": "60s", "total": "60s"}
    sections = {"server": {"drain": {"delay": "0s", "timeout": "60s"}}}
    async with process(routes({"p1": p1}, **sections), timeouts=clocks) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        await client.head()
        program.terminate()

        async def draining():
            return (await program.admin("/readyz")).status == 503

        await eventually(draining)
        program.terminate()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await program.ended() == 0
        assert loop.time() - begun < 2, "promised is one second; the rest is for a busy machine"
        assert b"[DONE]" not in await client.reader.read()


async def test_health_tells_a_ready_sidecar_from_one_that_is_not_there(p1, tmp_path):
    async with process(routes({"p1": p1})) as program:
        ready = await finished(tmp_path, "health", "--admin", f"http://127.0.0.1:{program.admin_port}")
    gone = await finished(tmp_path, "health", "--admin", f"http://127.0.0.1:{program.admin_port}")
    assert ready[0] == 0
    assert gone[0] == 1
    assert "not reachable" in gone[2]


async def test_a_bad_configuration_ends_it_with_1_and_the_place(tmp_path):
    documents = routes({"p1": refusing(prioritty=3)})
    file = write(tmp_path, documents, {})
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "prioritty" in text)
    status, stdout, stderr = await finished(tmp_path, "run")
    assert (status, stdout) == (1, "")
    assert stderr.startswith(f"{file}:{line}:")
    assert "priority" in stderr
    assert "Traceback" not in stderr


async def test_a_file_that_is_not_there_ends_it_with_2(tmp_path):
    status, _, stderr = await finished(tmp_path, "run")
    assert status == 2
    assert "Traceback" not in stderr


async def test_a_port_that_is_taken_ends_it_with_3(tmp_path):
    write(tmp_path, routes({"p1": refusing()}), {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, _, stderr = await finished(tmp_path, "run", "--listen", address)
    assert status == 3
    assert stderr.startswith(f"cannot listen on {address}")
    assert "Traceback" not in stderr


async def test_without_client_keys_it_does_not_listen_to_other_machines(tmp_path):
    write(tmp_path, routes({"p1": refusing()}, server={"listen": "0.0.0.0:0"}), {})
    status, stdout, stderr = await finished(tmp_path, "run")
    assert (status, stdout) == (1, "")
    assert "client_keys" in stderr


async def test_the_command_line_cannot_open_it_to_other_machines_either(tmp_path):
    write(tmp_path, routes({"p1": refusing()}), {})
    status, stdout, stderr = await finished(tmp_path, "run", "--listen", "0.0.0.0:0")
    assert (status, stdout) == (1, "")
    assert "client_keys" in stderr


async def test_every_line_of_its_log_is_json_whatever_a_client_writes(p1):
    async with process(routes({"p1": p1})) as program:
        await program.chat("hello", model='\x1b[31m"\n{"level":"forged"}\u2028')
        await program.ask(CHAT, model=["no", "text"])
        program.terminate()
        assert await program.ended() == 0
        lines = program.stdout.read_text().splitlines()
    assert all("\x1b" not in line and isinstance(json.loads(line), dict) for line in lines)
    assert not [line for line in lines if json.loads(line)["level"] == "forged"]
