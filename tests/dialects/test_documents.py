import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects.documents import count, mapping, mappings, read_json, solid, text, write_json


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_whatever_is_not_json_is_a_value_error(data):
    with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract, its words are the stdlib's
        read_json(data)


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
