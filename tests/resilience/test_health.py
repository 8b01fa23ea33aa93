from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import HealthSettings
from proxy.errors import ErrorClass, Failure
from proxy.resilience.health import Health, Status, conclusive, pause

SETTINGS = HealthSettings(interval=60.0, unhealthy_after=3, healthy_after=2)
NOW = 100.0


def after(evidence, settings=SETTINGS):
    """Live through evidence: `s` and `f` are live traffic, `S` and `F` checks."""
    health = Health()
    for step, letter in enumerate(evidence):
        if letter in "sS":
            health.succeed(settings, NOW + step)
        else:
            health.fail(settings, f"failure {step}", check=letter == "F")
    return health


def test_nothing_is_known_at_first_and_it_is_not_avoided():
    health = Health()
    assert (health.status, health.avoided, health.last_check) == (Status.UNKNOWN, False, None)


def test_one_success_is_enough_for_a_provider_nobody_knew():
    assert after("S").status is Status.HEALTHY
    assert after("s").status is Status.HEALTHY


def test_one_failure_degrades():
    assert after("F").status is Status.DEGRADED
    assert after("sf").status is Status.DEGRADED


def test_failures_in_a_row_make_it_unhealthy_at_the_configured_count_and_not_before():
    assert after("sff").status is Status.DEGRADED
    assert after("sfff").status is Status.UNHEALTHY


def test_a_success_between_them_starts_the_count_anew():
    assert after("FFSFF").status is Status.DEGRADED


def test_one_success_does_not_make_an_unhealthy_one_healthy_but_enough_do():
    assert after("FFFS").status is Status.UNHEALTHY
    assert after("FFFSS").status is Status.HEALTHY


def test_a_degraded_one_needs_as_many():
    assert after("FS").status is Status.DEGRADED
    assert after("FSS").status is Status.HEALTHY


def test_an_unhealthy_one_does_not_become_merely_degraded_by_failing_once_more_after_a_success():
    assert after("FFFSF").status is Status.UNHEALTHY


def test_live_failures_never_take_a_provider_out_of_the_choice():
    assert not after("f" * 20).avoided


def test_a_failed_check_that_completes_the_count_does():
    assert after("FFF").avoided
    assert after("ffF").avoided
    assert after("fffF").avoided


def test_a_failed_check_before_that_does_not():
    assert not after("FFf").avoided
    assert not after("FFsF").avoided


def test_an_avoided_one_comes_back_when_it_is_healthy_again_and_tells_when():
    assert after("FFFS").avoided
    back = after("FFFSS")
    assert (back.avoided, back.recovered_at) == (False, NOW + 4)


def test_live_successes_bring_an_avoided_one_back_too():
    assert not after("FFFss").avoided


def test_one_that_was_never_avoided_has_not_recovered():
    assert after("fffss").recovered_at is None


def test_the_last_failure_is_remembered():
    assert after("FS").last_error == "failure 0"
    assert after("S").last_error == ""


def test_evidence_tells_whether_it_changed_the_status():
    health = Health()
    assert [health.succeed(SETTINGS, NOW), health.succeed(SETTINGS, NOW)] == [True, False]
    assert [health.fail(SETTINGS, "x", check=True) for _ in range(4)] == [True, False, True, False]
    assert [health.succeed(SETTINGS, NOW), health.succeed(SETTINGS, NOW)] == [False, True]


def test_a_check_leaves_its_time_and_its_length():
    health = Health()
    health.note_check(1_800_000_000.0, 0.25)
    assert (health.last_check, health.last_latency) == (1_800_000_000.0, 0.25)


def test_the_time_to_the_next_check_is_told_when_one_is_planned():
    health = Health()
    assert health.next_check_in(NOW) is None
    health.next_check = NOW + 30
    assert health.next_check_in(NOW) == 30
    assert health.next_check_in(NOW + 31) == 0


@given(st.text("sSfF", max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_the_status_follows_from_the_tail_of_the_evidence(evidence, unhealthy_after, healthy_after):
    settings = HealthSettings(unhealthy_after=unhealthy_after, healthy_after=healthy_after)
    health = after(evidence, settings)
    low = evidence.lower()
    failures, successes = len(low) - len(low.rstrip("f")), len(low) - len(low.rstrip("s"))
    assert (health.consecutive_failures, health.consecutive_successes) == (failures, successes)
    if failures >= unhealthy_after:
        assert health.status is Status.UNHEALTHY
    if successes >= healthy_after or (successes and successes == len(low)):
        assert health.status is Status.HEALTHY
    if not evidence:
        assert health.status is Status.UNKNOWN


@given(st.text("sSfF", max_size=40))
def test_only_an_unhealthy_one_is_avoided_and_only_where_a_check_failed(evidence):
    health = after(evidence)
    if health.avoided:
        assert health.status is Status.UNHEALTHY
        assert "F" in evidence


def test_a_pause_is_the_interval_give_or_take_a_tenth():
    assert [round(pause(Health(), SETTINGS, draw), 6) for draw in (0.0, 0.5)] == [54.0, 60.0]
    assert pause(after("S"), SETTINGS, 0.999) < 66.0


def test_a_provider_in_trouble_is_checked_more_often():
    for evidence in ("F", "FFF", "FFFS"):
        assert pause(after(evidence), SETTINGS, 0.5) == 15.0


@given(st.text("sSfF", max_size=12), st.floats(0, 1, exclude_max=True), st.floats(1, 86400))
def test_a_pause_is_never_longer_than_the_interval_and_a_tenth(evidence, draw, interval):
    settings = HealthSettings(interval=interval)
    assert 0.2 * interval < pause(after(evidence), settings, draw) <= 1.1 * interval


def failure(error_class, status=None):
    return Failure(error_class=error_class, message="no", status=status)


def test_a_dead_provider_tells_something():
    for error_class in (ErrorClass.CONNECT, ErrorClass.TIMEOUT, ErrorClass.SERVER_ERROR, ErrorClass.SOFT_FAILURE):
        assert conclusive(failure(error_class), configured=False)


def test_a_refused_key_tells_something_but_not_that_it_may_not_list_models():
    assert conclusive(failure(ErrorClass.AUTH, 401), configured=False)
    assert not conclusive(failure(ErrorClass.AUTH, 403), configured=False)


def test_a_provider_without_a_list_of_models_is_not_blamed_for_it():
    for error_class, status in ((ErrorClass.UNSUPPORTED, 404), (ErrorClass.INVALID_REQUEST, 405)):
        assert not conclusive(failure(error_class, status), configured=False)


def test_what_the_configuration_asks_for_is_meant():
    assert conclusive(failure(ErrorClass.UNSUPPORTED, 404), configured=True)
    assert conclusive(failure(ErrorClass.AUTH, 403), configured=True)


def test_not_now_tells_nothing_whoever_asked():
    for configured in (True, False):
        assert not conclusive(failure(ErrorClass.RATE_LIMITED, 429), configured=configured)
        assert not conclusive(failure(ErrorClass.SHED), configured=configured)
