"""The habits of the house, as far as a test can see them."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "proxy").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LONGEST = 330

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
EVADED = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)")
LEFT_OUT = {
    "needs_chromium": "tests/dashboard/",
    "needs_compiler": "tests/faults/",
    "needs_faketime": "tests/faults/",
    "needs_promtool": "tests/deploy/",
    "needs_systemd": "tests/deploy/",
}
"""Marker -> the only folder in which it may stand."""


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", names(SOURCES))
def test_a_file_has_one_idea_and_room_for_no_second(path):
    lines = len((ROOT / path).read_text().splitlines())
    assert lines <= LONGEST, f"{path} has {lines} lines: look for the second idea"


@pytest.mark.parametrize("path", names(SOURCES))
def test_a_file_says_in_its_first_line_what_it_is(path):
    source = (ROOT / path).read_text()
    assert not source or ast.get_docstring(ast.parse(source)), f"{path} begins with no docstring"


def test_nothing_is_left_unfinished():
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in names([*SOURCES, *TESTS])
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_test_is_skipped_or_expected_to_fail():
    found = [
        path for path in names(TESTS) if path != "tests/test_house.py" and EVADED.search((ROOT / path).read_text())
    ]
    assert not found, f"{found}: a test that does not run proves nothing"


def test_only_these_folders_hold_tests_that_are_left_out_where_a_program_is_missing():
    """The one exception: `NEEDS` in tests/conftest.py, for what Debian packages and pip does not."""
    found = [
        f"{path}: {marker}"
        for path in names(TESTS)
        for marker in re.findall(r"mark\.(needs_\w+)", (ROOT / path).read_text())
        if not path.startswith(LEFT_OUT.get(marker, "nowhere"))
    ]
    assert not found, "\n".join(found)


def test_a_run_says_what_it_left_out_and_how_to_have_it():
    """Without a PATH no program is found."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/deploy/test_alerts.py"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "deselected" in done.stdout
    assert "left out: tests that run promtool and prometheus; to have them: apt-get install prometheus" in done.stdout


def test_test_files_have_names_of_their_own_and_no_packages():
    """Pytest imports them by their bare names."""
    twice = [
        name for name, count in Counter(path.name for path in TESTS).items() if count > 1 and name != "conftest.py"
    ]
    assert not twice, f"{twice} exist more than once under tests/"
    assert "__init__.py" not in {path.name for path in TESTS}


def test_no_file_is_a_drawer_for_odds_and_ends():
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert not [path for path in names([*SOURCES, *TESTS]) if Path(path).name in drawers]
