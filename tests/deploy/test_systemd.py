"""deploy/sidestep.service: taken by systemd itself, locked down by its own measure, and true to the program."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lab.configuration import refusing, routes
from lab.sidecar import eventually, process

from proxy.cli import main
from proxy.config.load import load
from proxy.config.units import duration

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "sidestep.service"
EXPOSURE = 20
"""Tenths, as `--threshold` counts them; systemd's own services are between 20 and 95."""


@pytest.fixture(scope="module")
def service():
    """The lines of [Service], by key; a list of values each."""
    section = UNIT.read_text().split("\n[Service]\n")[1].split("\n[")[0]
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.needs_systemd
def test_systemd_has_nothing_to_object_to(tmp_path):
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/sidestep/bin", str(Path(sys.executable).parent)))
    assert analyze("verify", "--man=no", str(here)) == (0, "")


@pytest.mark.needs_systemd
def test_systemd_counts_it_among_the_least_exposed():
    status, said = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(UNIT))
    assert status == 0, said.splitlines()[-1]


def test_its_command_is_one_that_the_program_has(service, capsys):
    program, command, *arguments = service["ExecStart"][0].split()
    assert program == "/opt/sidestep/bin/sidestep"
    with pytest.raises(SystemExit):
        main([command, "--help"])
    offered = capsys.readouterr().out
    assert all(argument in offered for argument in arguments if argument.startswith("--"))


def test_it_is_stopped_only_after_the_drain_of_the_shipped_files(service):
    drain = load(ROOT / "routes.yaml", None, {}).server.drain
    assert drain.delay + drain.timeout < duration(service["TimeoutStopSec"][0])


async def test_a_reload_is_the_signal_that_the_program_takes_for_one(service):
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    async with process(routes({"p1": refusing()})) as program:
        program.child.send_signal(signal.SIGHUP)

        async def reloaded():
            return await program.metric("sidestep_config_reloads_total", result="ok") == 1

        await eventually(reloaded, within=20)


def test_the_token_lies_in_a_folder_that_only_the_service_can_open(service):
    runtime = re.search(r"XDG_RUNTIME_DIR=(\S+)", service["Environment"][0])[1]
    assert f"{runtime}/{service['RuntimeDirectory'][0]}" == "/run/sidestep"
    assert service["RuntimeDirectoryMode"] == ["0700"]
    assert service["DynamicUser"] == ["yes"]


def test_no_key_stands_in_the_unit(service):
    assert service["EnvironmentFile"] == ["-/etc/sidestep/environment"]
    assert not re.search(r"(?i)(key|token|secret)\w*=", service["Environment"][0])
