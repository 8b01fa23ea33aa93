"""Who plays what, in which order, and what becomes of wrong answers."""

import pytest

from bench.__main__ import chosen, names
from bench.contestants import Contestant
from bench.measures import WRONG
from bench.performance import Result, cast, turned
from bench.plays import repertoire

PLAYS = repertoire(1.0)


def contestant(name, *, ours=False, command=("run",)):
    return Contestant(name, command, 1, frozenset({0}), ours=ours)


YARDSTICK, SIDESTEP, NGINX = contestant("yardstick", ours=True), contestant("sidestep", ours=True), contestant("nginx")
DIRECT = contestant("no proxy", command=())
LINEUP = [YARDSTICK, SIDESTEP, NGINX, DIRECT]


def test_a_beginning_chooses_all_plays_that_begin_with_it():
    assert [play.name for play in chosen(PLAYS, "plain, slow")] == ["plain-1", "plain-16", "plain-64", "slow"]


def test_a_whole_name_chooses_that_play_only():
    assert [play.name for play in chosen(PLAYS, "plain-1")] == ["plain-1"]


def test_nothing_chooses_everything():
    assert chosen(PLAYS, "") == PLAYS


def test_a_play_that_does_not_exist_is_named():
    with pytest.raises(SystemExit, match="slw"):
        chosen(PLAYS, "slw,plain")


def test_every_play_has_a_name_of_its_own():
    assert len({play.name for play in PLAYS}) == len(PLAYS)


def test_blanks_and_empty_names_do_not_count():
    assert names(" a, ,b,") == {"a", "b"}


@pytest.mark.parametrize(
    ("only", "cast_names"),
    [
        (set(), ["yardstick", "sidestep", "nginx", "no proxy"]),
        ({"nginx"}, ["yardstick", "nginx", "no proxy"]),
        ({"healthy"}, ["yardstick", "sidestep", "nginx", "no proxy"]),
    ],
)
def test_whom_the_others_are_compared_with_plays_along(only, cast_names):
    assert [each.name for each in cast(PLAYS[0], LINEUP, only)] == cast_names


def test_everybody_begins_once():
    assert [turned(LINEUP, number)[0] for number in range(4)] == LINEUP
    assert sorted(turned(LINEUP, 6), key=LINEUP.index) == LINEUP
    assert turned([], 3) == []


def test_a_wrong_answer_of_ours_is_a_trouble_and_one_of_others_a_figure():
    result = Result(PLAYS[0])
    result.note(NGINX, {WRONG: 7.0})
    assert not result.troubles
    result.note(SIDESTEP, {WRONG: 2.0})
    assert result.troubles == ["plain-1: sidestep gave 2 wrong answers"]
    assert result.figures == {"nginx": {WRONG: [7.0]}, "sidestep": {WRONG: [2.0]}}
