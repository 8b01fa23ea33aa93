"""The commands that ask a running sidecar: tables for people, JSON for programs, clear words and 1 when it fails."""

import asyncio
import json
import subprocess
import sys

import pytest
from lab.configuration import routes, write
from lab.operator import TOKEN, Operator, managed
from lab.ports import unused_port
from lab.sidecar import finished, process, running

from proxy.cli import COMMANDS, main
from proxy.cli.client import clean
from proxy.config.load import load
from proxy.reload import Source
from proxy.server.sidecar import Sidecar


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SIDESTEP_ADMIN_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
async def sidecar(p1, p2):
    async with running(managed({"p1": p1, "p2": p2})) as served:
        yield served


@pytest.fixture
def sidestep(sidecar, capsys):
    """Run a command against the sidecar: exit status, stdout, stderr."""

    async def run(*arguments, port=None):
        url = f"http://127.0.0.1:{port or sidecar.admin_port}"
        status = await asyncio.to_thread(main, [*arguments, "--admin", url])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


async def test_status_shows_every_provider_and_route(sidecar, sidestep):
    await sidecar.chat("hello")
    status, shown, _ = await sidestep("status")
    assert status == 0
    assert shown.startswith("1 requests, 100.0% answered")
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("p1")] == [["p1", "healthy", "closed"]]
    assert "primary_only" in shown


async def test_status_as_json_is_what_the_listener_says(sidecar, sidestep):
    status, shown, _ = await sidestep("status", "--json")
    told = await Operator(sidecar).get("/admin/status")
    assert status == 0
    assert json.loads(shown).keys() == told.keys()


async def test_stats_are_shown_and_reset(sidecar, sidestep):
    await sidecar.chat("hello")
    assert "requests       1\n" in (await sidestep("stats"))[1]
    assert json.loads((await sidestep("stats", "--json"))[1])["total_requests"] == 1
    assert "requests       0\n" in (await sidestep("stats", "reset"))[1]
    assert (await Operator(sidecar).get("/admin/stats"))["total_requests"] == 0


async def test_a_provider_is_disabled_and_enabled(sidecar, sidestep):
    assert await sidestep("providers", "disable", "p1") == (0, "p1: disabled (configured: enabled)\n", "")
    assert (await sidecar.chat("hello")).headers.get("x-sidestep-provider") == "p2"
    assert await sidestep("providers", "enable", "p1") == (0, "p1: enabled\n", "")


async def test_a_check_says_what_it_found(p1, sidestep):
    assert (await sidestep("providers", "check", "p1"))[1].startswith("p1: ok, healthy, ")
    await p1.go_down()
    assert (await sidestep("providers", "check", "p1"))[1].startswith("p1: failed, ")


async def test_a_strategy_is_chosen_and_taken_back(sidestep):
    assert await sidestep("strategy", "chat", "round_robin") == (
        0,
        "chat: round_robin (configured: primary_only)\n",
        "",
    )
    status, shown, _ = await sidestep("overrides", "reset")
    assert status == 0
    assert "by hand" not in shown


async def test_what_was_done_by_hand_is_marked_in_status(sidestep):
    await sidestep("strategy", "chat", "round_robin")
    await sidestep("providers", "disable", "p1")
    shown = (await sidestep("status"))[1]
    assert "round_robin (by hand; configured: primary_only)" in shown
    assert "disabled by hand" in shown


async def test_top_shows_providers_and_the_last_requests(p1, sidecar, sidestep):
    p1.fault = "status:500"
    await sidecar.chat("hello")
    status, shown, _ = await sidestep("top", "--count", "2", "--interval", "0.1")
    assert status == 0
    assert "p1:server_error > p2:ok" in shown


async def test_reload_tells_what_changed_and_what_is_wrong(p1, tmp_path, sidestep):
    file = write(tmp_path, managed({"p1": p1}), {})
    sidecar = Sidecar(load(file, None, {}), Source(routes=file, policies=None, environment={}))
    await sidecar.start()
    try:
        port = sidecar.admin_address.port
        assert (await sidestep("reload", port=port))[1].endswith("nothing changed\n")
        file.write_text(file.read_text().replace('"priority": 1', '"priority": 7'))
        assert (await sidestep("reload", port=port))[1].endswith("changed: provider p1: priority\n")
        file.write_text(file.read_text().replace('"priority": 7', '"prioritty": 7'))
        status, shown, problems = await sidestep("reload", port=port)
    finally:
        await sidecar.close()
    assert (status, shown) == (1, "")
    assert problems.startswith(f"{file}:")
    assert "did you mean 'priority'?" in problems


@pytest.mark.parametrize("command", [("status",), ("top", "--count", "1"), ("providers", "disable", "p1"), ("reload",)])
async def test_nobody_there_is_said_in_one_line(sidestep, command):
    status, shown, problem = await sidestep(*command, port=unused_port())
    assert (status, shown.strip()) == (1, "")
    assert "is not reachable" in problem
    assert problem.count("\n") == 1


async def test_a_wrong_token_is_said_and_not_shown(sidestep, monkeypatch):
    monkeypatch.setenv("SIDESTEP_ADMIN_TOKEN", "a-wrong-token")
    status, _, problem = await sidestep("status")
    assert status == 1
    assert "the token is wrong" in problem
    assert "a-wrong-token" not in problem


async def test_no_token_at_all_is_another_matter(sidestep, monkeypatch):
    monkeypatch.delenv("SIDESTEP_ADMIN_TOKEN")
    status, _, problem = await sidestep("status")
    assert (status, "no token was found" in problem) == (1, True)


async def test_an_unknown_name_is_said(sidestep):
    status, _, problem = await sidestep("providers", "disable", "../../stats/reset")
    assert status == 1
    assert "Traceback" not in problem
    assert (await sidestep("strategy", "nowhere", "round_robin"))[2] == "sidestep: there is no route of that name\n"


async def answering(answer):
    """Listen at a free port and give everybody the same answer."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("body", ["<html>", "[]", '{"error": "no"}'])
async def test_something_else_at_that_port_is_not_taken_for_a_sidecar(sidestep, status, body):
    server, port = await answering(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    async with server:
        ended, _, problem = await sidestep("status", port=port)
    assert ended == 1
    assert "is this a sidestep's admin listener?" in problem


async def test_a_redirect_is_not_followed_with_the_token(p2, sidestep):
    target = f"http://127.0.0.1:{p2.port}/admin/status"
    server, port = await answering(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")
    async with server:
        status, _, problem = await sidestep("status", port=port)
    assert (status, p2.requests) == (1, [])
    assert "302" in problem


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x", "http://a:b@127.0.0.1"]
)
def test_what_is_no_address_is_refused(url, capsys):
    assert main(["status", "--admin", url]) == 1
    assert "the admin address is not a" in capsys.readouterr().err


async def test_the_commands_find_the_token_that_a_sidecar_made(p1, tmp_path):
    async with process(routes({"p1": p1})) as program:
        (line,) = [each for each in program.log if each["message"] == "listening"]
        where = [
            "--admin",
            f"http://127.0.0.1:{program.admin_port}",
            "--state-dir",
            str(program.stdout.parent / "sidestep"),
        ]
        assert line["admin_token_file"].endswith(f"/sidestep/admin-{program.admin_port}.token")
        status, shown, problem = await finished(tmp_path, "status", *where)
        token = (program.stdout.parent / "sidestep" / f"admin-{program.admin_port}.token").read_text().strip()
        program.terminate()
        await program.ended()
        log = program.stdout.read_text()
        left = list((program.stdout.parent / "sidestep").iterdir())
    assert (status, problem) == (0, "")
    assert "p1" in shown
    assert token not in log
    assert left == []


async def test_a_state_directory_that_is_not_safe_leaves_nobody_to_manage_it_but_serves(p1, tmp_path):
    unsafe = tmp_path / "unsafe"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    async with process(routes({"p1": p1}), "--state-dir", str(unsafe)) as program:
        assert (await program.chat("hello")).status == 200
        assert (await Operator(program).ask("GET", "/admin/status")).status == 401
        (line,) = [each for each in program.log if each["level"] == "error"]
    assert "chmod o-w" in line["reason"]
    assert list(unsafe.iterdir()) == []


def test_words_of_others_cannot_move_the_cursor():
    assert clean("a\x1b[2Jb\r\n\u202ec") == "a [2Jb   c"


def test_only_the_command_that_is_named_is_imported():
    script = "import sys, proxy.cli; proxy.cli.main(['health', '--admin', 'x']); print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "False\n"


def test_every_command_is_in_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in shown] == []
