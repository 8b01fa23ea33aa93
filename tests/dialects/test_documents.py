import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.dialects.documents import count, mapping, mappings, read_json, solid, text, write_json


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_whatever_is_not_json_is_a_value_error(data):
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract, its words are the stdlib's
        read_json(data)


def stdlib(data):
    try:
        return json.loads(data)
    except ValueError:
        return ValueError


def ours(data):
    try:
        return read_json(data)
    except ValueError:
        return ValueError


def same(one, other):
    """Equal, and of the same kind; two that are no number are equal here."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
DAMAGE = st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=2)), max_size=2)


@settings(max_examples=400, deadline=None)
@given(JSONS, st.booleans(), st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]), DAMAGE)
@example([1e400, -(2**70), 2**64, -0.0, "\ud83d"], True, "utf-8", [])  # noqa: FBT003
def test_what_is_accepted_is_what_the_stdlib_accepts(value, escaped, encoding, damage):
    data = bytearray(json.dumps(value, ensure_ascii=escaped).encode(encoding, "surrogatepass"))
    for at, byte in damage:
        data[at % len(data) : at % len(data) + 1] = byte or b" "
    assert same(ours(bytes(data)), stdlib(bytes(data)))


def test_what_will_be_written_anew_keeps_its_digits():
    assert read_json(b"[18446744073709551616]") == [18446744073709551616]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=4))
def test_what_is_written_reads_the_same(document):
    assert json.loads(write_json(document)) == document


def test_writing_is_compact_and_keeps_characters():
    assert write_json({"a": ["é", 1]}) == '{"a":["é",1]}'.encode()


def test_a_lone_surrogate_is_escaped():
    assert write_json({"a": "\ud83d"}) == b'{"a":"\\ud83d"}'


def test_looking_into_the_wrong_type_finds_nothing():
    assert (mapping([1]), mappings({}), mappings([1, {"a": 1}]), text(3), count("3"), count(True), count(-1)) == (
        {}, [], [{"a": 1}], "", None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", False),
        (" ", True),
        (None, False),
        (7, False),
        ([], False),
        ([{"type": "text", "text": ""}], False),
        ([{"type": "text", "text": "a"}], True),
        ({"id": "x", "index": 0, "function": {"name": ""}}, False),
        ({"id": "x", "function": {"name": "f"}}, True),
        ([[[[[[["deep enough to be something"]]]]]]], True),
    ],
)
def test_only_words_are_solid(value, said):
    assert solid(value) is said
