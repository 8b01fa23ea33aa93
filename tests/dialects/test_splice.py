import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.splice import changed, without_null_usage

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"model":', '\\"model": "', "model"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "x", '"model"']), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["model", "messages", "stream_options", "a\\b", "é"]), VALUES, max_size=5)


@given(DOCUMENTS, st.text(max_size=10), st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_the_result_says_what_the_changed_document_would_say(document, model, escaped, indent, usage):
    body = json.dumps(document, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")
    changes = {"model": model} | ({"stream_options": {"include_usage": True}} if usage else {})
    assert json.loads(changed(body, document, changes)) == document | changes


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a","n":1.50}', b'{"model":"b","n":1.50}'),
        (b'{ "n" : 1e3, "model" : "a" }', b'{ "n" : 1e3, "model" : "b" }'),
        (b'{"text":"\\"model\\": \\"x\\"","model":"a"}', b'{"text":"\\"model\\": \\"x\\"","model":"b"}'),
    ],
)
def test_whatever_is_not_changed_keeps_its_bytes(body, expected):
    assert changed(body, json.loads(body), {"model": "b"}) == expected


def test_a_key_that_stands_twice_is_not_guessed_at():
    body = b'{"tools":[{"model":"inner"}],"model":"a"}'
    assert json.loads(changed(body, json.loads(body), {"model": "b"})) == {"tools": [{"model": "inner"}], "model": "b"}


def test_what_is_written_anew_keeps_every_digit():
    body = b'{"model":null,"seed":123456789012345678901234567890}'
    expected = b'{"model":"b","seed":123456789012345678901234567890}'
    assert changed(body, json.loads(body), {"model": "b"}) == expected


def test_a_new_key_goes_to_the_front():
    body = b'{"messages":[]}'
    assert changed(body, json.loads(body), {"model": "b"}) == b'{"model":"b","messages":[]}'
    assert changed(b"{ }", {}, {"model": "b"}) == b'{"model":"b"}'


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"a":1,"usage":null}', b'{"a":1}'),
        (b'{"a":1, "usage" : null , "b":2}', b'{"a":1 , "b":2}'),
        (b'{"usage": null, "a":1}', b'{"a":1}'),
        (b'{"a":"\\"usage","usage":null}', b'{"a":"\\"usage"}'),
        (b'{"a":"usage","usage":null}', b'{"a":"usage"}'),
        (b'{"a":{"usage":null},"usage":null}', b'{"a":{"usage":null}}'),
        (b'{"a":{"usage":null,"b":1},"usage":null}', None),
        (b'{"usage":null}', None),
        (b'{"usage":{"a":null}}', None),
        (b'{"a":",\\"usage\\":null"}', None),
    ],
)
def test_a_usage_of_null_is_cut_out_where_that_is_certain(body, kept):
    assert without_null_usage(body) == kept


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_what_is_left_without_a_usage_of_null_is_the_rest(document, escaped, indent):
    document = {"first": 1, "usage": None, **document}
    kept = without_null_usage(
        json.dumps(document, ensure_ascii=escaped, indent=indent).encode("utf-8", "surrogatepass")
    )
    del document["usage"]
    assert kept is not None
    assert json.loads(kept) == document
