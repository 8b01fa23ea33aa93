"""Strict YAML: what is read, what is refused, and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.text import MAX_BYTES, MAX_NODES, Document, Node, Place, Unreadable, parse, plain


def value_of(node):
    """A tree without its places."""
    if isinstance(node.value, dict):
        return {key: value_of(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [value_of(child) for child in node.value]
    return node.value


def read(source):
    document, problems = parse("f.yaml", source.encode() if isinstance(source, str) else source)
    return value_of(document.root), [(p.line, p.column, p.message) for p in problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ('"true"', "true"),
        ("'7'", "7"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written, meant):
    value, problems = read(f"a: {written}\n")
    assert not problems
    assert value == {"a": meant}
    assert type(value["a"]) is type(meant)


def test_not_a_number_is_a_float():
    assert str(plain(".nan")) == "nan"


def test_every_key_and_value_knows_its_place():
    document, _ = parse("f.yaml", b"a:\n  - x\n  - {b: 1}\n")
    assert document.root.keys["a"] == Place(1, 1)
    assert document.node(("a", 0)).place == Place(2, 5)
    assert document.node(("a", 1)).keys["b"] == Place(3, 6)
    assert document.node(("a", 1, "b")).place == Place(3, 9)


def test_a_path_that_the_file_does_not_hold_leads_to_the_closest_thing_above():
    document, _ = parse("f.yaml", b"a:\n  - x\n")
    assert document.problem(("a", 7, "b"), "m").line == 2
    assert document.problem(("a", "nonsense"), "m").line == 2
    assert document.problem((), "m", key=True).line == 1
    assert not document.has(("a", 7))
    assert document.has(("a", 0))


def test_characters_outside_ascii_count_as_one_column():
    assert read("é: {ü: 1, ü: 2}\n")[1][0][:2] == (1, 11)


def test_a_byte_order_mark_is_passed_over():
    assert read(b"\xef\xbb\xbfa: 1\n") == ({"a": 1}, [])


def test_an_empty_file_holds_nothing():
    assert read("") == (None, [])
    assert read("# only a comment\n") == (None, [])


@pytest.mark.parametrize(
    ("source", "line", "column", "fragment"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key 'a'; the first is in line 1"),
        ("a: {b: 1, b: 2}\n", 1, 11, "duplicate key 'b'"),
        ("a:\n\tb: 1\n", 2, 1, "a tab"),
        ("a: 1 \t# x\n", 1, 6, "a tab"),
        ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        ("1: x\n", 1, 1, "a key must be text"),
        ("true: x\n", 1, 1, "a key must be text"),
        ("? [a, b]\n: x\n", 1, 3, "a key must be text"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, 3, "merge keys"),
        ("a: !!str 1\n", 1, 4, "a tag"),
        ("a: !mine {b: 1}\n", 1, 4, "a tag"),
        ("a: ! 1\n", 1, 4, "a tag"),
        ("a: *nothing\n", 1, 4, "this alias refers to no value"),
        ("a: &x [*x]\n", 1, 8, "this alias refers to no value"),
        ("a: [1, 2\n", 2, 1, "not valid YAML"),
        ("a: 'x\n", 2, 1, "not valid YAML"),
        ("a: b: c\n", 1, 5, "not valid YAML"),
        ("a: {b: ${X:-y}}\n", 1, 9, "needs quotes"),
        (f"a: {'9' * 41}\n", 1, 4, "a number of 41 digits"),
        ("a: x\x00y\n", 1, 5, "U+0000"),
        ("a: x\u2028y\n", 1, 5, "U+2028"),
        (b"a: 1\nb: \xff\n", 2, 4, "not UTF-8"),
        (b"\xff\xfea\x00", 1, 1, "not UTF-8"),
        ("[" * 21 + "]" * 21, 1, 21, "nested deeper than 20"),
        ("x: " + "a" * MAX_BYTES, 1, 1, "larger than 1 MiB"),
    ],
)
def test_what_yaml_makes_surprising_is_refused_with_its_place(source, line, column, fragment):
    _, problems = read(source)
    assert (line, column) == problems[0][:2], problems[0]
    assert fragment in problems[0][2]


def test_all_duplicate_keys_are_reported_not_only_the_first():
    assert [problem[:2] for problem in read("a: 1\na: 2\nb: 1\nb: 2\n")[1]] == [(2, 1), (4, 1)]


def test_twenty_levels_are_allowed():
    assert not read("[" * 20 + "]" * 20)[1]


def test_an_alias_stands_for_its_value():
    assert read("a: &x [1, 2]\nb: *x\n") == ({"a": [1, 2], "b": [1, 2]}, [])


def test_an_alias_bomb_is_refused_before_it_goes_off():
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    _, problems = read("\n".join(layers))
    assert f"more than {MAX_NODES} values" in problems[0][2]


def test_depth_beyond_the_parser_s_own_bound_is_refused_alike():
    _, problems = read("[" * 100_000)
    assert "nested deeper than 20" in problems[0][2]


def test_depth_counts_through_aliases():
    _, problems = read(f"a: &x {'[' * 12}{']' * 12}\nb: {'[' * 12}*x{']' * 12}\n")
    assert "nested deeper than 20" in problems[0][2]


def test_a_refused_value_is_marked_so_that_nobody_reports_it_twice():
    value, _ = read(f"a: {'9' * 50}\n")
    assert isinstance(value["a"], Unreadable)


def test_a_value_made_from_the_environment_is_named_by_its_variables():
    document = Document("f", Node("hunter2", Place(1, 1), variables=("A", "B", "A")))
    assert document.quote(()) == "the value made from A, B"


def test_a_long_value_is_cut_in_messages():
    assert len(Document("f", Node("x" * 500, Place(1, 1))).quote(())) < 80


@given(st.binary(max_size=300))
def test_no_bytes_raise(data):
    document, problems = parse("f", data)
    assert isinstance(document.root, Node)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,? \n\t0.${}~<\\é\u0085"), max_size=60))
def test_no_text_of_yaml_characters_raises(source):
    document, problems = parse("f", source.encode())
    lines = source.count("\n") + 2
    assert isinstance(document.root, Node)
    assert all(1 <= problem.line <= lines for problem in problems)
