"""Every command and snippet of README.md and docs/ does what the page says.

A fence's info string says how its block is held to its word; none goes unread:

    bash               run to its end, against simulated providers in place of http://127.0.0.1:8080
    bash demo          the same, with the addresses that `sidestep demo --serve` prints
    bash operate       run to its end, against the shipped routes.yaml (test_docs_operations.py)
    bash serve         started, found ready, interrupted, ended well
    bash make          the targets exist and would run what they promise
    bash illustration  cannot run here; allowed for named programs only, on files that exist
    yaml               `# routes.yaml` and `# policies/NAME.yaml` are loaded as files, others as a part of one
    python             run to its end, with simulated providers
    json, none         output and drawings
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest
import yaml

from proxy.config.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
KINDS = {"", "json", "yaml", "python", "bash"}
KINDS |= {f"bash {how}" for how in ("demo", "operate", "serve", "make", "illustration")}
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (routes\.yaml|policies/[\w-]+\.yaml)\b")
PATIENCE = 120.0
"""Seconds that a program gets, however many tests share it."""
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    text: str

    @property
    def file(self):
        """The file that a yaml block is, by its first line; None for a part of one."""
        found = NAMED.match(self.text)
        return found and found[1]


def blocks_of(page):
    text = page.read_text()
    for found in FENCE.finditer(text):
        yield Block(page.name, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def each(*kinds):
    chosen = [block for block in BLOCKS if block.kind in kinds]
    return pytest.mark.parametrize("block", chosen, ids=[f"{block.page}:{block.line}" for block in chosen])


@pytest.fixture
def environment(tmp_path):
    """Nobody's keys, collectors or tokens, and providers that are nowhere but here."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    nowhere = "http://127.0.0.1:9/"
    (tmp_path / "runtime").mkdir(mode=0o700)
    return kept | {
        "POLLINATIONS_TEXT_API": nowhere,
        "POLLINATIONS_IMAGE_API": nowhere,
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "no_proxy": "*",
    }


@contextmanager
def started(command, until, environment=None):
    """Start a command, wait for a line in which `until` is found, and end it if it still runs."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = []
        watchdog = Timer(PATIENCE, process.kill)  # ends every read of what it says
        watchdog.start()
        try:
            for line in process.stdout:
                lines.append(line)
                if found := re.search(until, line):
                    yield process, found
                    return
            raise AssertionError(f"{command} ended without {until!r}:\n{''.join(lines)}")
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(scope="module")
def demo():
    """`sidestep demo --serve`, and the variables that it tells to export."""
    command = [str(BIN / "sidestep"), "demo", "--serve"]
    with started(command, r"export SIDESTEP=(\S+) BREAK=(\S+)") as (_, found):
        yield {"SIDESTEP": found[1], "BREAK": found[2]}


def here(text, demo):
    """The same text for this machine: its own virtual environment, and the simulated sidecar."""
    return text.replace(".venv/bin/", f"{BIN}/").replace("http://127.0.0.1:8080/v1", demo["SIDESTEP"])


def write_files(folder, blocks):
    """Write the files that these blocks are; routes.yaml is the shipped one where none of them is it."""
    (folder / "policies").mkdir()
    shutil.copy(ROOT / "routes.yaml", folder)
    for block in blocks:
        (folder / block.file).write_text(block.text)
    if not any(block.file == "routes.yaml" for block in blocks):
        shutil.copytree(ROOT / "policies", folder / "policies", dirs_exist_ok=True)


def files_of(page):
    return [block for block in BLOCKS if block.page == page and block.kind == "yaml" and block.file]


def run(command, folder, environment):
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_block_is_of_a_kind_that_is_held_to_its_word():
    unknown = [f"{block.page}:{block.line} {block.kind!r}" for block in BLOCKS if block.kind not in KINDS]
    assert not unknown, f"{unknown}: see the kinds at the top of this file"


ABSENT = {"docker", "kubectl", "systemctl", "journalctl", "sudo", "promtool"}
"""Programs that a page may show without a test running them: they need a cluster, an engine, root, or Debian."""


@each("bash illustration")
def test_what_cannot_run_here_needs_a_program_of_the_operator_and_names_files_that_exist(block):
    assert block.page in {"README.md", "deployment.md"}
    for line in block.text.strip().splitlines():
        program = next(word for word in line.split() if "=" not in word)
        assert program in ABSENT, line
        named = re.findall(r"(?<![\w./])(?:deploy|policies)/[\w.*/-]+", line)
        assert all(list(ROOT.glob(file)) for file in named), line


@each("bash")
def test_a_command_runs(block, demo, environment, tmp_path):
    write_files(tmp_path, files_of(block.page))
    done = run(["bash", "-euc", here(block.text, demo)], tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HTTP/1.1 200 OK" in done.stdout or "curl" not in block.text, done.stdout


@each("bash demo")
def test_what_is_broken_by_hand_fails_over_as_the_page_says(block, demo, environment, tmp_path):
    done = run(["bash", "-euc", block.text], tmp_path, environment | demo)
    assert done.returncode == 0, done.stderr
    for header in ("x-sidestep-provider: secondary", "x-sidestep-failover: true"):
        assert header in done.stdout
        assert header in (ROOT / block.page).read_text()


ANYWHERE = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
READY = {
    ".venv/bin/sidestep run": (ANYWHERE, r'"address": ?"([^"]+)"'),
    ".venv/bin/sidestep run --workers 2": (ANYWHERE, r'"address": ?"([^"]+)"'),
    ".venv/bin/sidestep demo --serve": ([], r"export SIDESTEP=http://(\S+)/v1"),
}
"""What serves -> what makes it independent of ports that are free, and how it tells where it listens."""


@each("bash serve")
def test_what_serves_becomes_ready_and_ends_when_it_is_interrupted(block, environment):
    more, until = READY[block.text.strip()]
    command = [str(BIN / "sidestep"), *block.text.split()[1:], *more]
    with started(command, until, environment) as (process, found):
        assert NO_PROXY.open(f"http://{found[1]}/readyz", timeout=10).status == 200
        process.send_signal(signal.SIGINT)
        if any("draining" in line for line in process.stdout):
            process.send_signal(signal.SIGINT)  # the second one asks it not to wait for its drain delay
        assert process.wait(20) == 0


def test_a_running_sidestep_takes_over_a_good_change_and_refuses_a_bad_one(environment, tmp_path):
    write_files(tmp_path, files_of("README.md"))
    routes = tmp_path / "routes.yaml"
    text = routes.read_text()
    command = [
        str(BIN / "sidestep"),
        "run",
        "--routes",
        str(routes),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]
    with started(command, '"message": ?"listening"', environment) as (process, _):
        routes.write_text(text.replace("timeout: 15s", "timeout: 10s"))
        process.send_signal(signal.SIGHUP)  # at once; what follows is seen by watching
        assert "provider openai: timeout" in next(line for line in process.stdout if "in force" in line)
        routes.write_text(text.replace("timeout: 15s", "timeuot: 10s"))
        assert "did you mean 'timeout'?" in next(line for line in process.stdout if "sidestep.reload" in line)


PROMISES = {"demo": "sidestep demo", "test": "-m pytest"}


@each("bash make")
def test_make_would_run_what_the_page_promises(block, environment):
    targets = re.findall(r"^make (\w+)", block.text, re.MULTILINE)
    assert sorted(targets) == sorted(PROMISES)
    for target in targets:
        done = run(["make", "--dry-run", target], ROOT, environment)
        assert PROMISES[target] in done.stdout, done.stderr


@each("python")
def test_a_snippet_runs_and_prints_an_answer(block, demo, environment, tmp_path):
    write_files(tmp_path, files_of(block.page))
    answering = {"POLLINATIONS_TEXT_API": demo["SIDESTEP"] + "/chat/completions"}
    done = run([sys.executable, "-c", here(block.text, demo)], tmp_path, environment | answering)
    assert done.returncode == 0, done.stderr
    assert "The simulated provider" in done.stdout


@each("yaml")
def test_yaml_is_taken_as_configuration(block, tmp_path):
    others = [each for each in files_of(block.page) if each.file != "routes.yaml" or each == block]
    write_files(tmp_path, others if block.file else [])
    if not block.file:
        routes = yaml.safe_load((tmp_path / "routes.yaml").read_text()) | yaml.safe_load(block.text)
        (tmp_path / "routes.yaml").write_text(yaml.safe_dump(routes))
    snapshot = load(tmp_path / "routes.yaml", None, {})
    if block.file and block.file != "routes.yaml":
        assert Path(block.file).stem in snapshot.policies


@each("json")
def test_json_is_json(block):
    assert json.loads(block.text)
