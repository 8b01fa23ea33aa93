"""`sidestep demo`, run as a user runs it."""

import contextlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

DEMO = (sys.executable, "-u", "-m", "proxy", "demo")
QUESTION = b'{"model": "demo", "messages": [{"role": "user", "content": "hello"}]}'


@contextlib.contextmanager
def started(*arguments):
    with subprocess.Popen([*DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"the demo ended without saying {text!r}:\n{''.join(lines)}")


def post(url, body=b""):
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
        return response.headers, response.read()


@pytest.fixture(scope="module")
def run():
    return subprocess.run([*DEMO, "--seconds", "5"], capture_output=True, text=True, timeout=60, check=False)


def figure(run, name):
    return re.search(rf"^  {name} +(.*)$", run.stdout, re.MULTILINE)[1]


def test_it_ends_by_itself_and_well(run):
    assert (run.returncode, run.stderr) == (0, ""), run.stdout


def test_the_app_saw_no_error(run):
    assert figure(run, "errors seen by the app") == "0"


def test_requests_failed_over(run):
    assert int(figure(run, "failovers").split(";")[0]) >= 3


def test_both_providers_answered_and_together_everything(run):
    said = figure(run, "requests")
    total, primary, secondary = (
        int(re.search(pattern, said)[1]) for pattern in (r"^(\d+)", r"(\d+) by the primary", r"(\d+) by the secondary")
    )
    assert min(primary, secondary) > 0
    assert total == primary + secondary


def test_the_traffic_came_back(run):
    assert re.match(r"\d+\.\d s from the recovery", figure(run, "time to return"))


def test_a_stream_cut_half_way_is_told(run):
    assert "'stream_broken', and no [DONE]" in figure(run, "a stream cut half-way")


def test_the_story_is_told_in_its_order(run):
    chapters = ["THE PRIMARY DIES", "fails over", "primary is open", "COMES BACK", "primary is closed", "what happened"]
    places = [run.stdout.index(chapter) for chapter in chapters]
    assert places == sorted(places), run.stdout


def test_interrupted_it_ends_at_once_and_without_a_traceback():
    with started() as process:
        read_until(process, "an app asks")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
        assert (process.returncode, "Traceback" in rest) == (130, False)


def test_served_it_can_be_broken_by_hand_and_ends_on_ctrl_c():
    with started("--serve") as process:
        text = read_until(process, "What happens is told here")
        base_url, control = re.search(r"export SIDESTEP=(\S+) BREAK=(\S+)", text).groups()
        headers, _ = post(f"{base_url}/chat/completions", QUESTION)
        assert (headers["x-sidestep-provider"], headers["x-sidestep-failover"]) == ("primary", "false")
        post(f"{control}/primary/down")
        headers, _ = post(f"{base_url}/chat/completions", QUESTION)
        assert (headers["x-sidestep-provider"], headers["x-sidestep-failover"]) == ("secondary", "true")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
    assert "primary connect" in rest
    assert "-> secondary ok" in rest
    assert process.returncode == 0


def test_served_it_refuses_a_behaviour_that_it_does_not_know():
    with started("--serve") as process:
        control = re.search(r"BREAK=(\S+)", read_until(process, "BREAK="))[1]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            post(f"{control}/primary/sideways")


@pytest.mark.parametrize("seconds", ["1", "nan", "soon", "1e9"])
def test_a_length_that_makes_no_sense_is_refused(seconds):
    run = subprocess.run([*DEMO, "--seconds", seconds], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, "is not a number of seconds" in run.stderr) == (2, True)
