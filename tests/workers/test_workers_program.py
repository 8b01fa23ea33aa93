"""`sidestep run --workers 2` as its clients and its operator meet it."""

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress

import pytest
from jsonschema import validate
from lab.client import RawClient, request
from lab.configuration import refusing, routes, write
from lab.operator import TOKEN, Operator, managed
from lab.sidecar import chat, eventually, finished, process
from lab.upstream import Upstream

from proxy.server.admin.listener import description

PATIENCE = 15.0
"""Seconds for a process to be started on a busy machine."""


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    with suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  a pseudo file
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


async def gone(*pids):
    return not any(alive(pid) for pid in pids)


async def test_both_workers_answer_and_their_statistics_add_up_to_what_was_asked(team, p1):
    asked = await team.ask_until_both_answered()
    status = await team.operator.get("/admin/status")
    assert sum(each["total_requests"] for each in status["workers"]) == asked
    assert status["statistics"]["total_requests"] == asked == len(p1.requests)
    assert status["statistics"]["provider_usage"] == {"p1": asked, "p2": 0}
    assert await team.operator.get("/admin/stats") == status["statistics"]
    assert len(set(await team.pids())) == 2


async def test_the_metrics_of_both_add_up(team):
    asked = await team.ask_until_both_answered()
    assert await team.program.metric("sidestep_requests_total", outcome="ok") == asked
    assert await team.program.metric("sidestep_request_duration_seconds_count") == asked
    assert await team.program.metric("sidestep_breaker_state", provider="p1", state="closed") == 1
    assert await team.program.metric("sidestep_config_reloads_total") == 0


async def test_a_provider_that_is_disabled_is_disabled_in_both(team, p1, p2):
    told = await team.operator.change("POST", "/admin/providers/p1/disable")
    assert (told["provider"], told["enabled"]) == ("p1", False)
    await team.ask_until_both_answered()
    assert p1.requests == []
    assert len(p2.requests) > 0


async def test_a_strategy_and_its_end_reach_both(team):
    told = await team.operator.change("PUT", "/admin/routes/chat/strategy", {"strategy": "round_robin"})
    assert (told["strategy"], told["overridden"]) == ("round_robin", True)
    status = await team.operator.change("POST", "/admin/overrides/reset")
    assert status["routes"]["chat"]["strategy"] == "primary_only"


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("POST", "/admin/providers/nobody/enable", None, 404),
        ("POST", "/admin/providers/nobody/check", None, 404),
        ("PUT", "/admin/routes/nothing/strategy", {"strategy": "round_robin"}, 404),
        ("PUT", "/admin/routes/chat/strategy", {"strategy": "by_gut_feeling"}, 400),
        ("GET", "/admin/nothing", None, 404),
    ],
)
async def test_what_one_process_refuses_is_refused_in_the_same_words(p1, p2, team, method, path, document, status):
    refused = await team.operator.ask(method, path, document)
    assert refused.status == status
    async with process(managed({"p1": p1, "p2": p2})) as alone:
        same = await Operator(alone).ask(method, path, document)
    assert refused.json() == same.json()


async def test_what_they_tell_together_is_as_described(team):
    await team.ask_until_both_answered()
    shapes = description()
    for path, shape in (("/admin/status", "Status"), ("/admin/stats", "Statistics")):
        validate(await team.operator.get(path), {**shapes, "$ref": f"#/components/schemas/{shape}"})


async def test_a_check_is_made_by_both(team):
    told = await team.operator.change("POST", "/admin/providers/p1/check")
    assert [each["finding"] for each in told["checks"]] == ["ok", "ok"]


async def test_nobody_manages_without_the_token(team):
    assert (await team.operator.ask("GET", "/admin/status", token=None)).status == 401


async def test_statistics_are_reset_in_both(team):
    await team.ask_until_both_answered()
    assert (await team.operator.change("POST", "/admin/stats/reset"))["total_requests"] == 0
    assert [each["total_requests"] for each in await team.workers()] == [0, 0]


async def test_the_last_requests_of_both_are_listed_the_newest_first(team):
    asked = await team.ask_until_both_answered()
    entries = (await team.operator.get("/admin/requests"))["requests"]
    assert len(entries) == min(asked, 100)
    assert [each["time"] for each in entries] == sorted((each["time"] for each in entries), reverse=True)


async def test_events_of_both_are_told_and_changes_once(team):
    async with RawClient(team.program.admin_port) as client:
        await client.send(request("GET", "/admin/events", headers={"Authorization": f"Bearer {TOKEN}"}))
        pieces = client.pieces(await client.head())
        told = await anext(pieces)
        asked = await team.ask_until_both_answered()
        await team.operator.change("POST", "/admin/providers/p2/disable")
        async with asyncio.timeout(PATIENCE):
            while told.count(b"event: request\n") < asked or b"event: override" not in told:
                told += await anext(pieces)
        assert told.startswith(b"event: snapshot\n")
        assert told.count(b"event: override\n") == 1


async def test_a_reload_reaches_both(p1, p2):
    async with process(managed({"p1": p1, "p2": p2}), "--workers", "2") as program:
        operator, folder = Operator(program), program.stdout.parent
        before = (await operator.get("/admin/status"))["generation"]
        write(folder, managed({"p2": p2, "p1": p1}), {})
        result = await operator.change("POST", "/admin/reload")
        status = await operator.get("/admin/status")
        assert before != result["generation"] == status["generation"]
        assert [each["generation"] for each in status["workers"]] == [result["generation"]] * 2
        assert status["reload"]["ok"] is True
        assert await program.metric("sidestep_config_reloads_total", result="ok") == 1
        assert await program.metric("sidestep_generation_info") == 1


async def test_a_changed_file_and_a_signal_reach_both_too(team, p1, p2):
    folder = team.program.stdout.parent
    before = {each["generation"] for each in await team.workers()}
    write(folder, managed({"p2": p2, "p1": p1}), {})
    team.program.child.send_signal(signal.SIGHUP)

    async def followed():
        now = {each["generation"] for each in await team.workers()}
        return len(now) == 1 and now != before

    await eventually(followed, PATIENCE)


async def test_a_bad_file_changes_nothing_in_either_and_a_new_worker_begins_with_the_last_good_one(team, p1):
    folder = team.program.stdout.parent
    before = (await team.operator.get("/admin/status"))["generation"]
    (folder / "routes.yaml").write_text("version: 1\nprovidres: {}\n")
    refused = await team.operator.ask("POST", "/admin/reload")
    assert refused.status == 422
    first, _ = await team.pids()
    os.kill(first, signal.SIGKILL)

    async def replaced():
        workers = await team.workers()
        return len(workers) == 2 and first not in [each["pid"] for each in workers]

    await eventually(replaced, PATIENCE)
    status = await team.operator.get("/admin/status")
    assert [each["generation"] for each in status["workers"]] == [before] * 2
    assert status["reload"]["ok"] is False
    await team.ask_until_both_answered()


async def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(team, p1, p2):
    await team.operator.change("POST", "/admin/providers/p1/disable")
    await team.ask_until_both_answered()
    counted = await team.program.metric("sidestep_requests_total")
    first, second = await team.pids()
    os.kill(first, signal.SIGKILL)

    async def noticed():
        return any(line["message"] == "a worker ended and is replaced" for line in team.program.log)

    await eventually(noticed)  # and so all its threads are gone, and its sockets with them
    for _ in range(20):
        assert (await team.program.chat("still there?")).status == 200

    async def replaced():
        return (await team.program.admin("/readyz")).status == 200 and len(await team.workers()) == 2

    await eventually(replaced, PATIENCE)
    status = await team.operator.get("/admin/status")
    assert second in [each["pid"] for each in status["workers"]]
    assert status["worker_restarts"] == 1
    assert status["providers"]["p1"]["enabled"] is False
    assert await team.program.metric("sidestep_requests_total") == counted + 20
    await team.ask_until_both_answered()
    assert p1.requests == []
    assert [line["status"] for line in team.program.log if line["message"] == "a worker ended and is replaced"] == [-9]


async def test_open_streams_finish_after_sigterm_and_nothing_is_left():
    async with Upstream("p1", tokens=40, interval=0.02) as slow:
        sections = {"server": {"drain": {"delay": "0s", "timeout": "20s"}}}
        async with process(routes({"p1": slow}, **sections), "--workers", "2") as program:
            clients = [RawClient(program.port) for _ in range(6)]
            children = children_of(program.child.pid)
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(streamed(client, program, clients)) for client in clients]
            assert all(answer.result().events()[-1] == "[DONE]" for answer in answers)
            assert await program.ended() == 0
            assert len(children) == 2
            assert await gone(*children)


async def streamed(client, program, clients):
    """Read a stream to its end; the last client to see its beginning tells the program to stop."""
    async with client:
        await client.send(request(document=chat("hello", stream=True)))
        response = await client.head()
        pieces = client.pieces(response)
        response.body = await anext(pieces)
        clients.remove(client)
        if not clients:
            program.terminate()
        async for piece in pieces:
            response.body += piece
        return response


async def test_while_it_drains_it_is_alive_but_not_ready():
    async with (
        Upstream("p1", tokens=60, interval=0.02) as slow,
        process(routes({"p1": slow}), "--workers", "2") as program,
    ):
        async with RawClient(program.port) as client:
            await client.send(request(document=chat("hello", stream=True)))
            await client.head()
            assert (await program.admin("/readyz")).status == 200
            program.terminate()

            async def left():
                return (await program.admin("/readyz")).status == 503

            await eventually(left)
            assert (await program.admin("/livez")).status == 200
        assert await program.ended() == 0


async def test_a_second_signal_ends_all_of_them_at_once(p1):
    p1.fault = "stall:2"
    clocks = {"connect": "1s", "idle": "60s", "total": "60s"}
    sections = {"server": {"drain": {"delay": "0s", "timeout": "60s"}}}
    async with (
        process(routes({"p1": p1}, **sections), "--workers", "2", timeouts=clocks) as program,
        RawClient(program.port) as client,
    ):
        await client.send(request(document=chat("hello", stream=True)))
        await client.head()
        children = children_of(program.child.pid)
        program.terminate()

        async def draining():
            return (await program.admin("/readyz")).status == 503

        await eventually(draining)
        program.terminate()
        assert await program.ended(within=5.0) == 0
        assert await gone(*children)
        assert b"[DONE]" not in await client.reader.read()


async def test_workers_whose_parent_is_killed_drain_and_end():
    async with (
        Upstream("slow", tokens=30, interval=0.02) as slow,
        process(routes({"p1": slow}), "--workers", "2") as program,
        RawClient(program.port) as client,
    ):
        children = children_of(program.child.pid)
        await client.send(request(document=chat("hello", stream=True)))
        response = await client.head()
        pieces = client.pieces(response)
        response.body = await anext(pieces)
        program.child.kill()
        async for piece in pieces:
            response.body += piece
        assert response.events()[-1] == "[DONE]"
        await eventually(lambda: gone(*children), PATIENCE)


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_begun_and_is_replaced():
    async with (
        Upstream("slow", tokens=30, interval=0.02) as slow,
        process(routes({"p1": slow}), "--workers", "2") as program,
        RawClient(program.port) as client,
    ):
        children = children_of(program.child.pid)
        await client.send(request(document=chat("hello", stream=True)))
        response = await client.head()
        for child in children:
            os.kill(child, signal.SIGTERM)
        async for piece in client.pieces(response):
            response.body += piece
        assert response.events()[-1] == "[DONE]"

        async def replaced():
            now = children_of(program.child.pid)
            ready = (await program.admin("/readyz")).status == 200
            return ready and len(now) == 2 and not set(now) & set(children)

        await eventually(replaced, PATIENCE)
        assert (await program.chat("hello")).status == 200
        program.terminate()
        assert await program.ended() == 0


async def test_a_port_at_which_somebody_else_listens_ends_it_with_3(tmp_path):
    write(tmp_path, routes({"p1": refusing()}), {})
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, _, stderr = await finished(tmp_path, "run", "--workers", "2", "--listen", address)
    assert status == 3
    assert stderr.startswith(f"cannot listen on {address}")
    assert "Traceback" not in stderr


@pytest.mark.parametrize("number", ["0", "-1", "two", "65"])
async def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path, number):
    status, _, stderr = await finished(tmp_path, "run", f"--workers={number}")
    assert status == 2
    assert "is not a number from 1 to 64" in stderr


async def test_a_bad_configuration_ends_it_with_1_and_without_workers(tmp_path):
    write(tmp_path, routes({"p1": refusing(prioritty=3)}), {})
    status, stdout, stderr = await finished(tmp_path, "run", "--workers", "2")
    assert (status, stdout) == (1, "")
    assert stderr.startswith(str(tmp_path / "routes.yaml"))
    assert "Traceback" not in stderr


async def test_every_line_of_their_common_log_is_json(team):
    await team.ask_until_both_answered()
    team.program.terminate()
    assert await team.program.ended() == 0
    lines = [json.loads(line) for line in team.program.stdout.read_text().splitlines()]
    told = [line["message"] for line in lines if line["logger"] not in {"sidestep.request", "sidestep.provider"}]
    assert told == ["listening", "draining", "draining"]
    assert team.program.stderr.read_text() == ""


def children_of(pid):
    """The processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:  # noqa: PTH123  a pseudo file
        return [int(child) for child in children.read().split()]
