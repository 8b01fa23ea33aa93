"""The image, as far as it can be tested without a container engine: its rules, its linter, and its own commands run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab.ports import unused_port

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN = 20
STOPPED_WITHIN = 20
"""Seconds; generous, since only a hang is meant to fail."""


@dataclass
class Stage:
    """One FROM and what follows it: (instruction, arguments) in order."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name):
        return [arguments for instruction, arguments in self.instructions if instruction == name]

    def last(self, name):
        return self.all(name)[-1]


def stages(text):
    """Read a Dockerfile: comments dropped, continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = []
    for line in kept.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        instruction, _, arguments = " ".join(line.split()).partition(" ")
        if instruction.upper() == "FROM":
            found.append(Stage(arguments.split()[0]))
        else:
            found[-1].instructions.append((instruction.upper(), arguments))
    return found


@pytest.fixture(scope="module")
def dockerfile():
    return stages((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def image(dockerfile):
    """The last stage: what is shipped."""
    return dockerfile[-1]


def test_it_has_no_root_and_says_so_in_numbers(image):
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", image.last("USER"))


def test_every_base_has_a_pinned_and_slim_tag(dockerfile):
    for stage in dockerfile:
        assert re.fullmatch(r"python:3\.\d+-slim(-\w+)?", stage.base), stage.base


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_no_shell_stands_between_the_signal_and_the_program(image, instruction):
    assert json.loads(image.last(instruction))


def test_the_health_check_is_our_own_command_in_exec_form(image):
    options, _, command = image.last("HEALTHCHECK").partition("CMD ")
    assert json.loads(command) == ["sidestep", "health"]
    assert "--timeout=" in options


def test_it_stops_by_sigterm_and_names_both_ports(image):
    assert image.last("STOPSIGNAL") == "SIGTERM"
    assert image.last("EXPOSE").split() == ["8080", "8081"]


def test_it_can_run_on_a_read_only_root(dockerfile, image):
    assert "PYTHONDONTWRITEBYTECODE=1" in image.last("ENV")
    assert any("compileall" in command for command in dockerfile[0].all("RUN"))


def test_nothing_is_downloaded_by_add_and_no_secret_is_baked_in(dockerfile):
    for stage in dockerfile:
        assert not stage.all("ADD")
        for setting in stage.all("ENV") + stage.all("ARG"):
            assert not re.search(r"(?i)(key|token|secret|password)\w*=", setting), setting


def test_what_is_copied_exists_and_is_sent_to_the_builder(dockerfile):
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    for arguments in (copy for stage in dockerfile for copy in stage.all("COPY") if "--from" not in copy):
        for source in arguments.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert {f"!{source}", f"!{source}/"} & set(sent), f"{source} is not let through by .dockerignore"


def test_the_linter_has_nothing_to_say():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_commands_build_a_program_that_serves_reports_its_health_and_stops_at_the_signal(
    dockerfile, image, tmp_path
):
    """Runs the Dockerfile itself in a folder: COPY, RUN of the build, ENTRYPOINT with CMD, HEALTHCHECK, STOPSIGNAL."""
    build(dockerfile[0], tmp_path)
    copy(image, tmp_path, ROOT)
    (tmp_path / "run").mkdir()
    environment = {"PATH": f"{tmp_path}/opt/sidestep/bin", "XDG_RUNTIME_DIR": f"{tmp_path}/run"}
    # A health check could come due while it runs, and nothing here may leave this machine.
    environment |= dict.fromkeys(("POLLINATIONS_TEXT_API", "POLLINATIONS_IMAGE_API"), "http://127.0.0.1:9/")
    entry = json.loads(image.last("ENTRYPOINT"))

    def say(*arguments):
        command = [shutil.which(entry[0], path=environment["PATH"]), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)

    assert say("--version").stdout.startswith("sidestep ")
    checked = say("check", "--routes", f"{tmp_path}/etc/sidestep/routes.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    admin = f"127.0.0.1:{unused_port()}"
    command = [placed(word, tmp_path) for word in entry + json.loads(image.last("CMD"))]
    command[0] = shutil.which(command[0], path=environment["PATH"])
    addresses = ["--listen", f"127.0.0.1:{unused_port()}", "--admin", admin]
    process = subprocess.Popen([*command, *addresses], env=environment, stdin=subprocess.DEVNULL)
    try:
        health = json.loads(image.last("HEALTHCHECK").partition("CMD ")[2])[1:]
        deadline = time.monotonic() + READY_WITHIN
        while say(*health, "--admin", f"http://{admin}").returncode != 0:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it never became healthy"
        process.terminate()
        assert process.wait(STOPPED_WITHIN) == 0
    finally:
        process.kill()
        process.wait()


def build(stage, folder):
    """Do what the build stage says, below `folder`."""
    source = folder / stage.last("WORKDIR").strip("/")
    source.mkdir(parents=True)
    copy(stage, source, ROOT)
    for command in stage.all("RUN"):
        script = re.sub(r"(?<=&& )python(?= )", shlex.quote(sys.executable), placed(command, folder))
        script = re.sub(r"^pip(?= )", f"{shlex.quote(sys.executable)} -m pip", script)
        subprocess.run(["/bin/sh", "-ec", script], cwd=source, check=True, capture_output=True, timeout=180)


def copy(stage, folder, root):
    """Do what COPY says, except between stages."""
    for arguments in (arguments for arguments in stage.all("COPY") if "--from" not in arguments):
        *sources, target = arguments.split()
        for source in sources:
            place = folder / target.strip("/")
            place = place / source if target == "./" else place
            place.parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns("__pycache__")
            if (root / source).is_dir():
                shutil.copytree(root / source, place, ignore=ignored)
            else:
                shutil.copy(root / source, place)


def placed(text, folder):
    """Move the image's own absolute paths below a folder."""
    return re.sub(r"(?<![\w/.])/(opt|wheels|etc|src|run)\b", rf"{folder}/\1", text)
