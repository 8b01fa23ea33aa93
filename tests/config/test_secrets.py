"""A secret is seen by the wire and by nobody else."""

import copy
import pickle

import pytest

from proxy.config.secrets import Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>40}".format, lambda s: f"{s!r}"])
def test_no_way_of_showing_a_secret_shows_it(show):
    shown = show(Secret("canary"))
    assert "canary" not in shown
    assert "***" in shown


def test_a_secret_inside_a_collection_does_not_show():
    assert "canary" not in repr({"key": [Secret("canary")]})


def test_a_secret_is_revealed_on_purpose():
    assert Secret("canary").reveal() == "canary"


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy])
def test_a_secret_is_not_carried_elsewhere(carry):
    with pytest.raises(TypeError, match="not pickled"):
        carry(Secret("canary"))


def test_equal_secrets_are_equal_and_nothing_else_is():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(("candidate", "matches"), [("a", True), ("b", False), ("", False), ("\udcff", False)])
def test_what_a_client_sends_is_compared_whatever_it_holds(candidate, matches):
    assert Secret("a").matches(candidate) is matches


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret("a")
