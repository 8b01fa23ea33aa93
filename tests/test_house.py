"""The habits of the house, as far as a test can see them."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "proxy").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LONGEST = 330

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
EVADED = re.compile(r"pytest\.(mark\.)?(skip|xfail|importorskip)")


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
