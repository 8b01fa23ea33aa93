from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.retry_after import retry_after, used_up

WALL = 1_800_000_000.0
LIMIT = 120.0


def wait(limit=LIMIT, **headers):
    return retry_after({name.replace("_", "-"): value for name, value in headers.items()}, WALL, limit=limit)


def test_a_reply_without_any_hint_tells_nothing():
    assert wait(content_type="text/html") is None


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("1.5", 1.5), ("0", 0.0), ("60s", 60.0), (" 7 ", 7.0)])
def test_retry_after_is_read_as_seconds(text, seconds):
    assert wait(retry_after=text) == seconds


def test_the_millisecond_header_wins_over_the_plain_one():
    assert wait(retry_after_ms="1500", retry_after="30") == 1.5


def test_a_nonsensical_millisecond_header_leaves_the_word_to_the_plain_one():
    assert wait(retry_after_ms="soon", retry_after="30") == 30.0


def test_retry_after_wins_over_the_rate_limit_headers():
    assert wait(retry_after="30", x_ratelimit_reset="5") == 30.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "nan", "inf", "-inf", "1e999", "\x00", "٣", "Sun, 99 Nov 1994"])
def test_nonsense_is_ignored(text):
    assert wait(retry_after=text) is None
    assert wait(retry_after_ms=text) is None
    assert wait(x_ratelimit_reset=text) is None


def test_an_hour_is_clamped_to_the_limit():
    assert wait(retry_after="3600") == LIMIT
    assert wait(retry_after="3600", limit=5.0) == 5.0


def test_a_date_is_read_against_our_own_clock_when_the_reply_has_none():
    assert wait(retry_after=formatdate(WALL + 42, usegmt=True)) == 42.0


def test_a_date_is_read_against_the_replys_own_clock_when_it_shows_it():
    theirs = WALL - 3600
    assert wait(retry_after=formatdate(theirs + 42, usegmt=True), date=formatdate(theirs, usegmt=True)) == 42.0


def test_a_replys_own_clock_at_the_epoch_is_still_its_clock():
    assert wait(retry_after=formatdate(42, usegmt=True), date=formatdate(0, usegmt=True)) == 42.0


def test_a_nonsensical_date_header_leaves_our_own_clock():
    assert wait(retry_after=formatdate(WALL + 42, usegmt=True), date="yesterday") == 42.0


def test_a_date_of_this_very_second_means_at_once():
    assert wait(retry_after=formatdate(WALL, usegmt=True)) == 0.0


def test_a_date_that_has_passed_is_ignored():
    assert wait(retry_after=formatdate(WALL - 42, usegmt=True)) is None


@pytest.mark.parametrize(
    "text",
    [
        "45",
        "45.0",
        "45s",
        "0m45s",
        "45000ms",
        str(int(WALL) + 45),
        str((int(WALL) + 45) * 1000),
        "2027-01-15T08:00:45Z",
        "Fri, 15 Jan 2027 08:00:45 GMT",
    ],
)
def test_a_reset_is_read_in_any_of_its_spellings(text):
    assert wait(x_ratelimit_reset=text) == pytest.approx(45.0)


@pytest.mark.parametrize("text", [str(int(WALL) - 45), str((int(WALL) - 45) * 1000), "0", "0s"])
def test_a_reset_that_has_passed_or_is_zero_tells_nothing(text):
    assert wait(x_ratelimit_reset=text) is None


def test_a_limit_with_something_remaining_is_not_what_refused_the_request():
    assert wait(x_ratelimit_reset_requests="8s", x_ratelimit_remaining_requests="99") is None


def test_the_limit_that_is_used_up_decides():
    assert (
        wait(
            x_ratelimit_reset_requests="1h",
            x_ratelimit_remaining_requests="14369",
            x_ratelimit_reset_tokens="7.66s",
            x_ratelimit_remaining_tokens="0",
        )
        == 7.66
    )


def test_of_two_limits_that_are_used_up_the_longer_one_decides():
    assert (
        wait(
            x_ratelimit_reset_requests="10s",
            x_ratelimit_remaining_requests="0",
            x_ratelimit_reset_tokens="20s",
            x_ratelimit_remaining_tokens="0",
        )
        == 20.0
    )


def test_a_limit_known_to_be_used_up_wins_over_one_that_is_silent():
    assert wait(x_ratelimit_reset="50", x_ratelimit_reset_tokens="20s", x_ratelimit_remaining_tokens="0") == 20.0


def test_of_silent_limits_the_first_in_the_documented_order_decides():
    assert wait(x_ratelimit_reset_tokens="5s", x_ratelimit_reset_requests="9s") == 9.0
    assert wait(x_ratelimit_reset_tokens="5s", x_ratelimit_reset="11") == 11.0


def test_a_remaining_of_minus_one_is_silence():
    assert wait(x_ratelimit_reset_requests="9", x_ratelimit_remaining_requests="-1") == 9.0


NAMES = ["retry-after-ms", "retry-after", "date"] + [
    f"x-ratelimit-{part}{kind}" for part in ("reset", "remaining") for kind in ("", "-requests", "-tokens")
]
VALUES = (
    st.text(max_size=40)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.integers(0, 4_000_000_000).map(lambda seconds: formatdate(seconds, usegmt=True))
    | st.from_regex(r"\A[0-9]{1,3}[hms][0-9]{1,3}(ms|s)\Z")
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.floats(0, 4e9), st.floats(0, 1e6))
def test_whatever_the_headers_say_the_wait_is_none_or_within_the_limit(headers, wall, limit):
    seconds = retry_after(headers, wall, limit=limit)
    assert seconds is None or 0 <= seconds <= limit


# What a good answer says is left


def left(limit=LIMIT, **headers):
    return used_up({name.replace("_", "-"): value for name, value in headers.items()}, WALL, limit=limit)


def test_an_answer_that_says_nothing_of_limits_uses_up_none():
    assert left(content_type="application/json", x_ratelimit_reset="30") is None


@pytest.mark.parametrize("kind", ["", "_requests", "_tokens", "_requests_day", "_tokens_minute"])
def test_a_limit_that_is_used_up_is_back_at_its_reset(kind):
    assert left(**{f"x_ratelimit_remaining{kind}": "0", f"x_ratelimit_reset{kind}": "30"}) == 30.0


@pytest.mark.parametrize("remaining", ["1", "0.5", "-1", "", "none", "nan"])
def test_a_limit_that_does_not_say_zero_is_not_used_up(remaining):
    assert left(x_ratelimit_remaining=remaining, x_ratelimit_reset="30") is None


@pytest.mark.parametrize("reset", ["", "0", "soon", "-3", "nan"])
def test_a_limit_that_does_not_say_when_it_is_back_is_not_believed(reset):
    assert left(x_ratelimit_remaining="0", x_ratelimit_reset=reset) is None


def test_a_moment_is_read_against_the_clock_of_the_sender():
    assert left(x_ratelimit_remaining="0", x_ratelimit_reset=str(int((WALL + 20) * 1000))) == pytest.approx(20.0)
    assert left(
        x_ratelimit_remaining="0",
        x_ratelimit_reset=str(int(WALL) + 20),
        date=formatdate(WALL + 15, usegmt=True),
    ) == pytest.approx(5.0)


def test_of_several_limits_the_last_one_back_counts():
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "30"}
    more = {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "40"}

    assert left(**headers, **more) == 40.0
    assert left(**headers, **more | {"x_ratelimit_remaining_tokens": "7"}) == 30.0


def test_a_bucket_that_refills_has_room_again_long_before_it_is_full():
    headers = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1m0s"}

    assert left(**headers, x_ratelimit_limit_requests="600") == pytest.approx(0.1)
    assert left(**headers) == 60.0
    assert left(**headers, x_ratelimit_limit_requests="0") == 60.0


def test_nobody_is_believed_beyond_the_limit():
    assert left(x_ratelimit_remaining="0", x_ratelimit_reset="86400") == LIMIT


@given(st.dictionaries(st.sampled_from(["remaining", "reset", "limit"]), st.text(max_size=20)))
def test_no_answer_is_an_error_and_no_wait_is_out_of_bounds(told):
    wait = used_up({f"x-ratelimit-{name}": text for name, text in told.items()}, WALL, limit=LIMIT)

    assert wait is None or 0 < wait <= LIMIT
