"""References to environment variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.environment import resolve
from proxy.config.text import Unreadable, parse


def resolved(source, **variables):
    document, problems = parse("f.yaml", source.encode())
    assert not problems
    document, problems = resolve(document, variables)
    return document, [(p.line, p.column, p.message) for p in problems]


@pytest.mark.parametrize(
    ("written", "variables", "meant"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}", {"A": ""}, ""),
        ("${A:-d}", {"A": "x"}, "x"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-}", {}, ""),
        ("${A:?say it}", {"A": "x"}, "x"),
        ("${A:-20}/min", {}, "20/min"),
        ("${A}-${B}", {"A": "x", "B": "y"}, "x-y"),
        ("$$", {}, "$"),
        ("$${A}", {}, "${A}"),
        ("${A:-https://h/p:1}", {}, "https://h/p:1"),
        ("${A}", {"A": "${B}"}, "${B}"),
        ("${A}", {"A": "$$"}, "$$"),
    ],
)
def test_a_reference_becomes_its_value(written, variables, meant):
    document, problems = resolved(f'a: "{written}"', **variables)
    assert not problems
    assert document.node(("a",)).value == meant


@pytest.mark.parametrize(
    ("written", "variables", "fragment"),
    [
        ("${A}", {}, "the environment variable A is not set"),
        ("${A:?set it}", {}, "A is not set: 'set it'"),
        ("${A:?}", {"A": ""}, "A is not set"),
        ("$A", {"A": "x"}, "write ${NAME}"),
        ("${1A}", {}, "write ${NAME}"),
        ("${A:+x}", {}, "write ${NAME}"),
        ("${A", {"A": "x"}, "write ${NAME}"),
        ("${A:-${B}}", {"A": "x"}, "write ${NAME}"),
        ("${A}", {"A": "\udcff"}, "A is not UTF-8"),
    ],
)
def test_a_reference_that_cannot_be_replaced_is_a_problem_at_its_place(written, variables, fragment):
    document, problems = resolved(f'b: 1\na: "{written}"', **variables)
    assert problems[0][:2] == (2, 4)
    assert fragment in problems[0][2]
    assert isinstance(document.node(("a",)).value, Unreadable)


def test_every_missing_variable_is_reported():
    _, problems = resolved('a: "${A}"\nb: ["${B}", "${C}"]')
    assert [problem[2].split()[3] for problem in problems] == ["A", "B", "C"]


def test_a_reference_in_a_key_is_a_problem():
    _, problems = resolved('x: {"${A}": 1}', A="a")
    assert problems == [(1, 5, "references are replaced in values only; a key is written out")]


def test_a_value_cannot_add_structure():
    document, _ = resolved('a: "${A}"', A="{b: [1, 2]}\nc: 3")
    assert document.node(("a",)).value == "{b: [1, 2]}\nc: 3"
    assert not document.has(("c",))


def test_a_value_remembers_the_variables_that_it_came_from():
    document, _ = resolved('a: "${A:-1}${B}"', B="2")
    assert document.node(("a",)).variables == ("A", "B")


def test_a_value_without_references_is_left_alone():
    document, _ = resolved("a: 5\nb: x")
    assert document.node(("a",)).value == 5
    assert document.node(("b",)).variables == ()


@given(st.text(st.sampled_from("$${}AB:-?_1 "), max_size=20))
def test_no_text_breaks_the_reader_of_references(text):
    document, problems = parse("f", f"a: '{text}'".encode())
    assert not problems
    document, problems = resolve(document, {"A": "x"})
    assert isinstance(document.node(("a",)).value, str | Unreadable)
