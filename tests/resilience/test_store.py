"""What is kept, for how long, how much of it, and which questions are the same."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.snapshot import Cache
from proxy.messages import Operation, Request
from proxy.resilience.store import LONGEST_QUESTION, OVERHEAD, Kept, Store, key_of, worth_keeping

MINUTE = Cache(ttl=60.0)


def kept(body=b"answer", at=0.0):
    return Kept(body=body, headers={"content-type": "application/json"}, provider="p1", at=at)


def holding(**answers):
    store = Store()
    for name, answer in answers.items():
        store.put(name.encode(), answer, MINUTE, stale_for=0.0)
    return store


def question(**changes):
    document = changes.pop("document", {"model": "small", "messages": [{"role": "user", "content": "hello"}]})
    body = json.dumps(document).encode()
    fields = {"id": "r", "operation": Operation.CHAT, "path": "/v1/chat/completions", "body": body}
    return Request(**(fields | {"document": document} | changes))


def key(route="chat", **changes):
    return key_of(question(**changes), route)


def test_every_digit_of_a_number_makes_a_difference():
    assert key(document={"seed": 10**30}) != key(document={"seed": 10**30 + 1})


def test_an_answer_is_given_again_until_it_is_too_old():
    store = holding(a=kept())
    assert store.get(b"a", 59.9, 60.0).body == b"answer"
    assert store.get(b"a", 60.0, 60.0) is None


def test_an_answer_too_old_for_one_reader_may_be_young_enough_for_another():
    store = holding(a=kept())
    assert store.get(b"a", 100.0, 60.0) is None
    assert store.get(b"a", 100.0, 3600.0) is not None


def test_a_newer_answer_takes_the_place_of_an_older_one():
    store = holding(a=kept(b"old"))
    store.put(b"a", kept(b"new", at=1.0), MINUTE, stale_for=0.0)
    assert (store.get(b"a", 1.0, 60.0).body, len(store)) == (b"new", 1)
    assert store.size == len(b"new") + OVERHEAD


def test_the_answer_that_was_not_asked_for_longest_makes_room():
    store = holding(a=kept(), b=kept())
    store.get(b"a", 1.0, 60.0)
    store.put(b"c", kept(at=1.0), Cache(ttl=60.0, max_entries=2), stale_for=0.0)
    assert store.get(b"b", 1.0, 60.0) is None
    assert store.get(b"a", 1.0, 60.0) is not None


def test_bytes_are_bounded_too():
    store = Store()
    tight = Cache(ttl=60.0, max_bytes=2 * (OVERHEAD + 100))
    for name in (b"a", b"b", b"c"):
        store.put(name, kept(b"x" * 100), tight, stale_for=0.0)
    assert (len(store), store.size) == (2, tight.max_bytes)
    assert store.get(b"a", 0.0, 60.0) is None


def test_an_answer_larger_than_the_store_throws_nobody_out():
    store = holding(a=kept())
    store.put(b"b", kept(b"x" * 5000), Cache(ttl=60.0, max_bytes=4096), stale_for=0.0)
    assert (store.get(b"b", 0.0, 60.0), len(store)) == (None, 1)


def test_an_answer_too_large_to_keep_takes_the_older_one_with_it():
    store = holding(a=kept())
    store.put(b"a", kept(b"x" * 5000), Cache(ttl=60.0, max_bytes=4096), stale_for=0.0)
    assert (len(store), store.size) == (0, 0)


def test_what_is_of_no_use_to_anybody_is_dropped():
    store = holding(a=kept())
    store.put(b"b", kept(at=60.0), MINUTE, stale_for=0.0)
    assert len(store) == 1


def test_what_only_a_degradation_could_use_stays():
    store = holding(a=kept())
    store.put(b"b", kept(at=60.0), MINUTE, stale_for=3600.0)
    assert len(store) == 2


def test_without_any_use_nothing_is_kept():
    store = Store()
    store.put(b"a", kept(), Cache(ttl=0.0), stale_for=0.0)
    assert len(store) == 0


def test_clearing_forgets_everything():
    store = holding(a=kept())
    store.clear()
    assert (len(store), store.size) == (0, 0)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2000), st.floats(0, 50)), max_size=40),
    st.integers(1, 4),
    st.integers(1024, 5000),
)
def test_the_bounds_hold_whatever_is_put_in(puts, entries, size):
    store, now = Store(), 0.0
    bounds = Cache(ttl=60.0, max_entries=entries, max_bytes=size)
    sizes = {}
    for name, length, later in puts:
        now += later
        store.put(bytes([name]), kept(b"x" * length, at=now), bounds, stale_for=0.0)
        sizes[name] = length + OVERHEAD
        assert len(store) <= entries
        assert store.size <= size
        found = [each for each in sizes if store.get(bytes([each]), now, 1e9)]
        assert store.size == sum(sizes[each] for each in found)


# Which questions are the same


def test_the_order_of_keys_makes_no_difference():
    assert key(document={"a": 1, "b": {"c": 2, "d": 3}}) == key(document={"b": {"d": 3, "c": 2}, "a": 1})


def test_who_asks_when_makes_no_difference():
    assert key() == key(id="other", received=5.0, timeout=3.0)


def test_a_stream_that_is_false_is_a_stream_that_is_not_asked_for():
    assert key(document={"m": 1}) == key(document={"m": 1, "stream": False})


def test_everything_that_was_asked_for_makes_a_difference():
    keys = [
        key(),
        key("other route"),
        key(stream=True),
        key(operation=Operation.COMPLETIONS),
        key(preferred="p2"),
        key(document={"model": "large", "messages": [{"role": "user", "content": "hello"}]}),
        key(document={"model": "small", "messages": [{"role": "user", "content": "hello!"}]}),
        key(document={"model": "small", "messages": [{"role": "user", "content": "hello"}], "user": "eve"}),
        key(stream=True, document={"stream_options": {"include_usage": True}}),
        key(stream=True, document={}),
    ]
    assert len(set(keys)) == len(keys)


def test_some_questions_are_never_answered_from_memory():
    assert key(tools=True) is None
    assert key(pinned=True) is None
    assert key(operation=Operation.RESPONSES) is None
    assert key(operation=Operation.TRANSCRIPTIONS) is None
    assert key(body=b"x" * (LONGEST_QUESTION + 1)) is None


def test_only_whole_text_is_worth_keeping():
    assert worth_keeping(Operation.CHAT, ("stop",))
    assert worth_keeping(Operation.CHAT, ("stop", "stop"))
    assert not worth_keeping(Operation.CHAT, ("stop", "length"))
    assert not worth_keeping(Operation.CHAT, ("content_filter",))
    assert not worth_keeping(Operation.CHAT, ("tool_calls",))
    assert not worth_keeping(Operation.COMPLETIONS, ())


def test_what_has_no_finish_reason_is_whole_when_it_is_valid():
    assert worth_keeping(Operation.EMBEDDINGS, ())
