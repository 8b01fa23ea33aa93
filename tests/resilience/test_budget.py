from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import RetryBudget
from proxy.resilience.budget import Budget

NO_FLOOR = RetryBudget(ratio=0.2, min=0)


def spent(budget, now, settings, tries):
    return sum(budget.spend(now, settings) for _ in range(tries))


def test_an_idle_route_may_spend_its_floor_and_no_more():
    budget = Budget()
    assert budget.remaining(100.0, RetryBudget()) == 30
    assert spent(budget, 100.0, RetryBudget(), 100) == 30
    assert budget.remaining(100.0, RetryBudget()) == 0


def test_a_busy_route_may_spend_its_ratio():
    budget = Budget()
    for _ in range(1000):
        budget.request(100.0)
    assert spent(budget, 100.0, RetryBudget(), 1000) == 200


def test_without_a_floor_an_idle_route_may_spend_nothing():
    assert not Budget().spend(100.0, NO_FLOOR)


def test_what_was_spent_comes_back_after_ten_seconds():
    budget = Budget()
    spent(budget, 100.0, RetryBudget(), 30)
    assert budget.remaining(109.0, RetryBudget()) == 0
    assert budget.remaining(111.0, RetryBudget()) == 30


def test_requests_older_than_ten_seconds_earn_nothing():
    budget = Budget()
    for _ in range(100):
        budget.request(100.0)
    assert budget.remaining(109.0, NO_FLOOR) == 20
    assert budget.remaining(111.0, NO_FLOOR) == 0


def test_a_smaller_ratio_after_a_reload_leaves_nothing_rather_than_less():
    budget = Budget()
    for _ in range(100):
        budget.request(100.0)
    spent(budget, 100.0, NO_FLOOR, 20)
    assert budget.remaining(100.0, RetryBudget(ratio=0.1, min=0)) == 0


def test_a_ratio_that_floats_cannot_hold_is_not_rounded_down():
    budget = Budget()
    for _ in range(100):
        budget.request(100.0)
    assert budget.remaining(100.0, RetryBudget(ratio=0.29, min=0)) == 29


@given(st.lists(st.tuples(st.sampled_from(["request", "spend", "spend"]), st.floats(0, 2)), max_size=120))
def test_extra_attempts_never_exceed_their_part_of_the_requests_nor_the_floor(steps):
    budget, settings, now = Budget(), RetryBudget(ratio=0.2, min=0.2), 0.0
    requests, extra = [], []
    for step, pause in steps:
        now += pause
        if step == "request":
            budget.request(now)
            requests.append(now)
        elif budget.spend(now, settings):
            extra.append(now)
            recent_requests = sum(now - time <= 10.5 for time in requests)
            assert sum(now - time < 10 for time in extra) <= max(0.2 * recent_requests, 2.0)
