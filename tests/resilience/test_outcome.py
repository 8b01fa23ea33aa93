import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import ErrorRule
from proxy.errors import ErrorClass, Failure
from proxy.resilience.outcome import (
    DEFAULT_TABLE,
    Again,
    Effect,
    Elsewhere,
    Verdict,
    ambiguous,
    class_table,
    may_ask_other,
)

COUNTED = {
    ErrorClass.CONNECT,
    ErrorClass.TIMEOUT,
    ErrorClass.BROKEN,
    ErrorClass.SERVER_ERROR,
    ErrorClass.OVERLOADED,
    ErrorClass.SOFT_FAILURE,
}
FINAL = {ErrorClass.CONTENT_POLICY, ErrorClass.INVALID_REQUEST, ErrorClass.CANCELLED}


def failure(error_class, status=None, *, sent=True):
    return Failure(error_class=error_class, message="it failed", status=status, sent=sent)


def test_every_class_has_a_verdict():
    assert set(DEFAULT_TABLE) == set(ErrorClass)


def test_the_breaker_counts_what_the_provider_is_to_blame_for_and_nothing_else():
    assert {error_class for error_class, verdict in DEFAULT_TABLE.items() if verdict.breaker} == COUNTED


def test_a_verdict_on_the_request_itself_goes_to_no_other_provider():
    assert {each for each, verdict in DEFAULT_TABLE.items() if verdict.other_provider is Elsewhere.NO} == FINAL


def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window():
    assert DEFAULT_TABLE[ErrorClass.CONTEXT_LENGTH].other_provider is Elsewhere.LARGER_WINDOW


@pytest.mark.parametrize(
    ("error_class", "again"),
    [
        (ErrorClass.CONNECT, Again.YES),
        (ErrorClass.SERVER_ERROR, Again.YES),
        (ErrorClass.OVERLOADED, Again.YES),
        (ErrorClass.BROKEN, Again.IF_UNSENT),
        (ErrorClass.RATE_LIMITED, Again.LAST),
    ],
)
def test_only_these_classes_may_be_repeated_on_the_same_provider(error_class, again):
    assert DEFAULT_TABLE[error_class].same_provider is again


def test_all_other_classes_are_never_repeated_on_the_same_provider():
    repeated = {each for each, verdict in DEFAULT_TABLE.items() if verdict.same_provider is not Again.NO}
    assert repeated == {
        ErrorClass.CONNECT,
        ErrorClass.SERVER_ERROR,
        ErrorClass.OVERLOADED,
        ErrorClass.BROKEN,
        ErrorClass.RATE_LIMITED,
    }


def test_effects_outlast_the_request_for_limits_money_keys_and_models_only():
    effects = {each: verdict.effect for each, verdict in DEFAULT_TABLE.items() if verdict.effect is not Effect.NONE}
    assert effects == {
        ErrorClass.OVERLOADED: Effect.COOL_DOWN,
        ErrorClass.RATE_LIMITED: Effect.COOL_DOWN,
        ErrorClass.QUOTA: Effect.BENCH,
        ErrorClass.AUTH: Effect.BENCH_KEY,
        ErrorClass.UNSUPPORTED: Effect.REMEMBER,
    }


def test_a_policy_without_overrides_has_the_default_table():
    assert class_table({}) is DEFAULT_TABLE


def test_a_policy_may_let_a_content_refusal_go_elsewhere():
    table = class_table({ErrorClass.CONTENT_POLICY: ErrorRule(other_provider=True)})
    assert table[ErrorClass.CONTENT_POLICY] == Verdict(Again.NO, Elsewhere.YES, breaker=False, effect=Effect.NONE)


def test_an_override_can_forbid_as_well_as_allow():
    rule = ErrorRule(same_provider=False, other_provider=False, breaker=False)
    verdict = class_table({ErrorClass.OVERLOADED: rule})[ErrorClass.OVERLOADED]
    assert verdict == Verdict(Again.NO, Elsewhere.NO, breaker=False, effect=Effect.COOL_DOWN)


def test_an_override_can_allow_a_repeat_and_count_it():
    verdict = class_table({ErrorClass.TIMEOUT: ErrorRule(same_provider=True, breaker=True)})[ErrorClass.TIMEOUT]
    assert verdict.same_provider is Again.YES
    assert verdict.breaker is True


def test_an_override_leaves_every_other_class_alone_and_the_default_table_too():
    before = dict(DEFAULT_TABLE)
    table = class_table({ErrorClass.QUOTA: ErrorRule(breaker=True)})
    assert {each for each in ErrorClass if table[each] != before[each]} == {ErrorClass.QUOTA}
    assert dict(DEFAULT_TABLE) == before


@pytest.mark.parametrize(
    ("error_class", "status"),
    [
        (ErrorClass.TIMEOUT, None),
        (ErrorClass.BROKEN, None),
        (ErrorClass.BROKEN, 200),
        (ErrorClass.SERVER_ERROR, 500),
        (ErrorClass.OVERLOADED, 502),
        (ErrorClass.OVERLOADED, 504),
        (ErrorClass.OVERLOADED, 520),
        (ErrorClass.OVERLOADED, 524),
    ],
)
def test_the_fate_of_a_sent_request_is_unknown_after(error_class, status):
    assert ambiguous(failure(error_class, status))


@pytest.mark.parametrize(
    ("error_class", "status"),
    [
        (ErrorClass.RATE_LIMITED, 429),
        (ErrorClass.OVERLOADED, 503),
        (ErrorClass.OVERLOADED, 529),
        (ErrorClass.OVERLOADED, 530),
        (ErrorClass.INVALID_REQUEST, 400),
        (ErrorClass.AUTH, 401),
        (ErrorClass.SERVER_ERROR, 425),
        (ErrorClass.SOFT_FAILURE, 200),
        (ErrorClass.SHED, None),
    ],
)
def test_the_provider_surely_did_no_unanswered_work_after(error_class, status):
    assert not ambiguous(failure(error_class, status))


@given(st.sampled_from(ErrorClass), st.none() | st.integers(100, 599))
def test_what_was_never_sent_is_never_ambiguous(error_class, status):
    assert not ambiguous(failure(error_class, status, sent=False))


@pytest.mark.parametrize(
    ("images", "replay", "allowed"),
    [
        (False, "auto", True),
        (True, "auto", False),
        (False, "always", True),
        (True, "always", True),
        (False, "never", False),
        (True, "never", False),
    ],
)
@pytest.mark.parametrize("error_class", [ErrorClass.TIMEOUT, ErrorClass.BROKEN])
def test_replay_decides_after_a_failure_that_nobody_answered_for(error_class, images, replay, allowed):
    assert may_ask_other(failure(error_class), DEFAULT_TABLE[error_class], images=images, replay=replay) is allowed


@pytest.mark.parametrize("replay", ["auto", "always", "never"])
def test_replay_says_nothing_about_a_request_that_was_not_sent(replay):
    unsent = failure(ErrorClass.BROKEN, sent=False)
    assert may_ask_other(unsent, DEFAULT_TABLE[ErrorClass.BROKEN], images=True, replay=replay)


@pytest.mark.parametrize("replay", ["auto", "always", "never"])
def test_replay_says_nothing_about_a_provider_that_answered_with_an_error(replay):
    answered = failure(ErrorClass.SERVER_ERROR, 500)
    assert may_ask_other(answered, DEFAULT_TABLE[ErrorClass.SERVER_ERROR], images=True, replay=replay)


@given(st.sampled_from(sorted(FINAL)), st.booleans(), st.sampled_from(["auto", "always", "never"]))
def test_a_final_verdict_goes_nowhere_whatever_replay_says(error_class, images, replay):
    assert not may_ask_other(failure(error_class, 400), DEFAULT_TABLE[error_class], images=images, replay=replay)


def test_a_larger_window_is_left_to_the_candidates():
    refused = failure(ErrorClass.CONTEXT_LENGTH, 400)
    assert may_ask_other(refused, DEFAULT_TABLE[ErrorClass.CONTEXT_LENGTH], images=False, replay="auto")
