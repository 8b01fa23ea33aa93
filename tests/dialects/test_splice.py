import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.splice import changed

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


def test_a_new_key_goes_to_the_front():
    body = b'{"messages":[]}'
    assert changed(body, json.loads(body), {"model": "b"}) == b'{"model":"b","messages":[]}'
    assert changed(b"{ }", {}, {"model": "b"}) == b'{"model":"b"}'
