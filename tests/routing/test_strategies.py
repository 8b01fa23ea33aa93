"""What every strategy promises, then each one by its distribution over 10,000 seeded draws."""

import random
from collections import Counter
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import StrategyName
from proxy.routing.candidates import Candidate
from proxy.routing.strategies import Rotation, order

DRAWS = 10_000
EVERY_STRATEGY = pytest.mark.parametrize("strategy", list(StrategyName))


def candidate(name, priority=1, weight=1.0, share=1.0, **measured):
    return Candidate(name=name, priority=priority, weight=weight, share=share, **measured)


def names(ranked):
    return [each.name for each in ranked]


def never():
    """A draw for strategies that must not leave anything to chance."""
    raise AssertionError("nothing here is left to chance")


def firsts(strategy, candidates, turns=DRAWS, *, rotation=None, seed=7):
    """Count how often each candidate comes first."""
    rotation, draw = rotation or Rotation(), random.Random(seed).random
    return Counter(order(strategy, candidates, rotation, draw)[0].name for _ in range(turns))


candidates_of_any_kind = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdefgh"),
        priority=st.integers(0, 3),
        weight=st.floats(0, 100),
        share=st.floats(0.1, 1),
        requests=st.integers(0, 20),
        success_rate=st.none() | st.floats(0, 1),
        latency=st.none() | st.floats(0, 100),
    ),
    max_size=8,
    unique_by=lambda each: each.name,
)


@EVERY_STRATEGY
@given(offers=st.lists(candidates_of_any_kind, max_size=3), seed=st.integers(0, 99), preferred=st.sampled_from("abz"))
def test_every_candidate_comes_exactly_once_whoever_comes_and_goes(strategy, offers, seed, preferred):
    rotation, draw = Rotation(), random.Random(seed).random
    for offer in offers:
        ranked = order(strategy, offer, rotation, draw, preferred=preferred)
        assert sorted(names(ranked)) == sorted(names(offer))


@EVERY_STRATEGY
@given(offer=candidates_of_any_kind, seed=st.integers(0, 99))
def test_the_same_memory_and_the_same_chance_give_the_same_order(strategy, offer, seed):
    rotation = Rotation()
    order(strategy, offer, rotation, random.Random(seed).random)
    again = deepcopy(rotation)
    first = order(strategy, offer, rotation, random.Random(seed).random)
    assert order(strategy, offer, again, random.Random(seed).random) == first
    assert again == rotation


@EVERY_STRATEGY
def test_the_preferred_one_comes_first(strategy):
    offer = [candidate("a"), candidate("b"), candidate("c", priority=9, share=0.1)]
    ranked = order(strategy, offer, Rotation(), random.Random(1).random, preferred="c")
    assert ranked[0].name == "c"


@EVERY_STRATEGY
def test_a_preferred_one_that_is_no_candidate_changes_nothing(strategy):
    offer = [candidate("a"), candidate("b"), candidate("c")]
    wished = order(strategy, offer, Rotation(), random.Random(1).random, preferred="elsewhere")
    assert wished == order(strategy, offer, Rotation(), random.Random(1).random)


@EVERY_STRATEGY
def test_a_recovering_one_that_is_alone_is_asked_all_the_same(strategy):
    assert names(order(strategy, [candidate("only", share=0.1)], Rotation(), random.Random(1).random)) == ["only"]


@EVERY_STRATEGY
def test_a_recovering_candidate_gets_some_traffic_and_less_than_a_healthy_one(strategy):
    seen = {"requests": 50, "success_rate": 1.0}
    offer = [candidate("recovering", share=0.2, latency=1.0, **seen), candidate("healthy", latency=2.0, **seen)]
    counts = firsts(strategy, offer)
    assert DRAWS * 0.02 < counts["recovering"] < DRAWS * 0.3


@EVERY_STRATEGY
def test_a_provider_that_comes_back_is_first_within_a_hundred_requests(strategy):
    known = {"requests": 500, "success_rate": 1.0, "latency": 0.1}
    healthy, returned = candidate("healthy", **known), candidate("returned", priority=0, share=0.3)
    rotation, draw = Rotation(), random.Random(3).random
    for _ in range(1000):
        order(strategy, [healthy], rotation, draw)
    assert any(order(strategy, [healthy, returned], rotation, draw)[0] is returned for _ in range(100))


def test_primary_only_goes_by_priority_and_keeps_the_routes_order_among_equals():
    offer = [candidate("c", 2), candidate("a", 1), candidate("d", 2), candidate("b", 0)]
    assert names(order(StrategyName.PRIMARY_ONLY, offer, Rotation(), never)) == ["b", "a", "c", "d"]


def test_a_recovering_primary_keeps_the_first_place_as_often_as_its_share_says():
    counts = firsts(StrategyName.PRIMARY_ONLY, [candidate("primary", 1, share=0.3), candidate("secondary", 2)])
    assert counts["primary"] == pytest.approx(0.3 * DRAWS, rel=0.05)


def test_a_recovering_primary_that_yields_goes_to_the_back():
    offer = [candidate("primary", 1, share=0.3), candidate("second", 2), candidate("third", 3)]
    ranked = order(StrategyName.PRIMARY_ONLY, offer, Rotation(), lambda: 0.3)
    assert names(ranked) == ["second", "third", "primary"]


def test_where_everybody_is_recovering_everybody_is_still_offered():
    offer = [candidate(name, share=0.1) for name in "abc"]
    assert sorted(names(order(StrategyName.PRIMARY_ONLY, offer, Rotation(), lambda: 0.99))) == ["a", "b", "c"]


def test_round_robin_cycles_through_the_routes_order():
    rotation = Rotation()
    offer = [candidate("a"), candidate("b"), candidate("c")]
    turns = [names(order(StrategyName.ROUND_ROBIN, offer, rotation, never)) for _ in range(4)]
    assert turns == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_round_robin_is_exactly_even():
    assert firsts(StrategyName.ROUND_ROBIN, [candidate(name) for name in "abcd"]) == dict.fromkeys("abcd", DRAWS // 4)


def test_round_robin_passes_nobody_by_when_requests_for_different_candidates_alternate():
    rotation, counts = Rotation(), Counter()
    everyone, some = [candidate(name) for name in "abcd"], [candidate(name) for name in "ab"]
    for _ in range(1000):
        for offer in (everyone, some):
            counts[order(StrategyName.ROUND_ROBIN, offer, rotation, never)[0].name] += 1
    assert min(counts[name] for name in "abcd") >= 400


def test_weights_divide_the_traffic():
    counts = firsts(StrategyName.WEIGHTED_ROUND_ROBIN, [candidate("a", weight=5), candidate("b"), candidate("c")])
    assert counts == {"a": pytest.approx(7143, abs=2), "b": pytest.approx(1429, abs=2), "c": pytest.approx(1429, abs=2)}


def test_weighted_turns_are_spread_smoothly_as_in_nginx():
    rotation = Rotation()
    offer = [candidate("a", weight=5), candidate("b"), candidate("c")]
    turns = [order(StrategyName.WEIGHTED_ROUND_ROBIN, offer, rotation, never)[0].name for _ in range(7)]
    assert "".join(turns) == "aabacaa"


def test_observed_failures_shrink_a_weight():
    offer = [candidate("good", requests=50, success_rate=1.0), candidate("bad", requests=50, success_rate=0.25)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer)["bad"] == pytest.approx(DRAWS / 5, abs=2)


def test_one_that_always_fails_is_still_asked_now_and_then():
    offer = [candidate("good", requests=50, success_rate=1.0), candidate("bad", requests=50, success_rate=0.0)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer)["bad"] == pytest.approx(DRAWS / 11, abs=2)


def test_a_few_failures_are_not_yet_believed():
    offer = [candidate("good", requests=50, success_rate=1.0), candidate("new", requests=4, success_rate=0.0)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer)["new"] == DRAWS / 2


def test_as_many_failures_as_are_enough_are_believed():
    offer = [candidate("good", requests=50, success_rate=1.0), candidate("bad", requests=5, success_rate=0.25)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer)["bad"] == pytest.approx(DRAWS / 5, abs=2)


def test_a_recovering_candidates_share_is_part_of_its_weight():
    offer = [candidate("a", share=0.25), candidate("b")]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer)["a"] == pytest.approx(DRAWS / 5, abs=2)


def test_a_weight_of_zero_is_only_where_to_go_when_the_others_fail():
    rotation = Rotation()
    offer = [candidate("spare", weight=0), candidate("a"), candidate("b")]
    for _ in range(100):
        assert names(order(StrategyName.WEIGHTED_ROUND_ROBIN, offer, rotation, never))[-1] == "spare"


def test_weights_that_are_all_zero_count_as_one_each():
    offer = [candidate("a", weight=0), candidate("b", weight=0)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer) == {"a": DRAWS // 2, "b": DRAWS // 2}


def test_the_smallest_of_weights_is_still_a_weight():
    offer = [candidate("a", weight=5e-324, share=0.1), candidate("b", weight=0)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, offer, 10) == {"a": 10}


def test_a_weight_that_falls_leaves_no_debt_that_starves():
    rotation = Rotation()
    before = [candidate("a", weight=1000), candidate("b", weight=1000)]
    for _ in range(1001):
        order(StrategyName.WEIGHTED_ROUND_ROBIN, before, rotation, never)
    after = [candidate("a", weight=1), candidate("b", weight=1)]
    assert firsts(StrategyName.WEIGHTED_ROUND_ROBIN, after, 10, rotation=rotation)["a"] >= 4


@pytest.mark.parametrize(
    ("strategy", "memory"),
    [(StrategyName.ROUND_ROBIN, "last_first"), (StrategyName.WEIGHTED_ROUND_ROBIN, "credit")],
)
def test_a_rotation_forgets_names_that_are_no_longer_offered(strategy, memory):
    rotation = Rotation()
    for number in range(1000):
        order(strategy, [candidate(f"provider-{number}"), candidate("constant")], rotation, never)
    assert len(getattr(rotation, memory)) <= 258


FAST = candidate("fast", requests=50, success_rate=1.0, latency=0.5)
SLOW = candidate("slow", requests=50, success_rate=1.0, latency=2.0)


def ranked_by_performance(*offer):
    """The order when nothing is explored."""
    return names(order(StrategyName.BEST_PERFORMANCE, offer, Rotation(), lambda: 0.999))


def test_the_fastest_is_first_and_the_others_are_looked_at_now_and_then():
    counts = firsts(StrategyName.BEST_PERFORMANCE, [SLOW, FAST])
    assert counts["slow"] == pytest.approx(0.02 * DRAWS, rel=0.25)


def test_a_failure_costs_as_much_as_the_repeat_it_causes():
    unreliable = candidate("unreliable", requests=50, success_rate=0.6, latency=0.4)
    assert ranked_by_performance(SLOW, unreliable, FAST) == ["fast", "unreliable", "slow"]


def test_an_unmeasured_candidate_is_explored_by_a_tenth_of_the_requests():
    counts = firsts(StrategyName.BEST_PERFORMANCE, [FAST, SLOW, candidate("new", requests=4, success_rate=1.0)])
    assert counts["new"] == pytest.approx(0.1 * DRAWS, rel=0.1)
    assert counts["slow"] == 0


def test_unmeasured_candidates_share_the_exploration_evenly():
    counts = firsts(StrategyName.BEST_PERFORMANCE, [FAST, candidate("new"), candidate("newer")])
    assert counts["new"] == pytest.approx(0.05 * DRAWS, rel=0.15)
    assert counts["newer"] == pytest.approx(0.05 * DRAWS, rel=0.15)


def test_what_mostly_fails_ranks_behind_the_unknown_and_what_never_worked_comes_last():
    failing = candidate("failing", requests=50, success_rate=0.4, latency=0.1)
    dead = candidate("dead", requests=50, success_rate=0.0)
    assert ranked_by_performance(dead, failing, candidate("new"), SLOW) == ["slow", "new", "failing", "dead"]


def test_enough_attempts_of_which_just_half_worked_rank_before_the_unknown():
    shaky = candidate("shaky", requests=5, success_rate=0.5, latency=60.0)
    assert ranked_by_performance(candidate("new"), shaky) == ["shaky", "new"]


def test_where_nothing_is_known_priority_decides():
    assert ranked_by_performance(candidate("second", 2), candidate("first", 1)) == ["first", "second"]


def test_a_measured_success_without_a_latency_ranks_behind_those_with_one():
    untimed = candidate("untimed", requests=50, success_rate=1.0)
    assert ranked_by_performance(untimed, SLOW) == ["slow", "untimed"]


def test_random_picks_are_uniform():
    counts = firsts(StrategyName.RANDOM_AVAILABLE, [candidate(name) for name in "abcd"])
    assert all(counts[name] == pytest.approx(DRAWS / 4, rel=0.1) for name in "abcd")


def test_every_random_order_is_equally_likely():
    draw = random.Random(5).random
    offer = [candidate(name) for name in "abc"]
    counts = Counter(
        "".join(names(order(StrategyName.RANDOM_AVAILABLE, offer, Rotation(), draw))) for _ in range(DRAWS)
    )
    assert len(counts) == 6
    assert all(count == pytest.approx(DRAWS / 6, rel=0.1) for count in counts.values())


def test_a_recovering_candidate_is_picked_at_random_as_often_as_its_share_says():
    counts = firsts(StrategyName.RANDOM_AVAILABLE, [candidate("a", share=0.4), candidate("b")])
    assert counts["a"] == pytest.approx(0.2 * DRAWS, rel=0.1)
