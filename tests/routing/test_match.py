import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import Match, Route
from proxy.messages import Operation, Request
from proxy.routing.match import match

CHAT = "/v1/chat/completions"


def request(**changes):
    given = {"id": "r", "operation": Operation.CHAT, "path": CHAT, "body": b"{}", "document": {}, "model": "gpt-4o"}
    return Request(**{**given, **changes})


def route(name="chat", path=CHAT, **conditions):
    return Route(name=name, match=Match(path=path, **conditions), providers=("pollinations",), policy="default")


def takes(condition, asked):
    return match([condition], asked) is condition


def test_no_route_takes_a_request_where_there_are_none():
    assert match([], request()) is None


def test_the_first_of_several_that_fit_takes_it():
    narrow, wide = route("narrow", model="gpt-*"), route("wide")
    assert match([narrow, wide], request()) is narrow
    assert match([wide, narrow], request()) is wide


def test_a_route_that_does_not_fit_is_passed_over():
    narrow, wide = route("narrow", model="claude-*"), route("wide")
    assert match([narrow, wide], request()) is wide


@pytest.mark.parametrize(
    "path", [CHAT + "/", "//v1/chat/completions", "/v1/x/../chat/completions", "/V1/chat/completions"]
)
def test_a_path_is_compared_raw(path):
    assert not takes(route(), request(path=path))


@pytest.mark.parametrize("method", ["GET", "PUT", "post"])
def test_a_route_for_another_method_takes_no_operation(method):
    assert not takes(route(method=method), request())


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("*", "gpt-4o", True),
        ("*", "", True),
        ("gpt-*", "gpt-4o", True),
        ("gpt-*", "GPT-4o", False),
        ("gpt-?o", "gpt-4o", True),
        ("gpt-[45]o", "gpt-5o", True),
        ("gpt-[45]o", "gpt-6o", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("nvidia/*:free", "nvidia/nemotron:free", True),
        ("*", "two\nlines", True),
    ],
)
def test_a_model_is_matched_by_pattern(pattern, model, fits):
    assert takes(route(model=pattern), request(model=model)) is fits


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        ({"x-team": "blue", "x-tier": "gold"}, True),
        ({"x-team": "blue", "x-tier": "gold", "x-more": "1"}, True),
        ({"x-team": "blue"}, False),
        ({"x-team": "Blue", "x-tier": "gold"}, False),
        ({}, False),
    ],
)
def test_every_header_asked_for_must_be_there_exactly(headers, fits):
    assert takes(route(headers={"x-team": "blue", "x-tier": "gold"}), request(headers=headers)) is fits


@pytest.mark.parametrize("flag", ["stream", "tools"])
@pytest.mark.parametrize(
    ("wanted", "has", "fits"),
    [(None, True, True), (None, False, True), (True, True, True), (True, False, False), (False, True, False)],
)
def test_a_flag_matters_only_where_the_route_names_it(flag, wanted, has, fits):
    assert takes(route(**{flag: wanted}), request(**{flag: has})) is fits


@given(st.text(max_size=50))
def test_a_model_name_of_any_characters_is_only_ever_compared(model):
    assert takes(route(model="*"), request(model=model))
    assert takes(route(model="known"), request(model=model)) is (model == "known")
