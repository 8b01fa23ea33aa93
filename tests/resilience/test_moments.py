import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.resilience.moments import duration, moment, number

NOVEMBER_1994 = 784111777.0
"""The moment that RFC 9110 5.6.7 spells in three ways."""


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("20", 20.0), (" 1.5 ", 1.5), ("2.", 2.0), (".5", 0.5), ("007", 7.0)]
)
def test_a_number_is_read(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "nan", "inf", "1e3", "1,5", "0x10", "1_000", "١٢", "1 2", ".", "9" * 65]
)
def test_what_is_no_plain_number_is_not_guessed_at(text):
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("4m19.999s", 259.999),
        ("1m2.5s", 62.5),
        ("27s", 27.0),
        ("2d", 172800.0),
        ("500us", 0.0005),
        ("500µs", 0.0005),
        ("100ns", 1e-7),
    ],
)
def test_a_go_duration_is_read(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1", "-1s", "1x", "1s and more", "1 s", "1h " * 30])
def test_what_is_no_duration_is_not_guessed_at(text):
    assert duration(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "1994-11-06t08:49:37z",
        "1994-11-06 10:49:37+02:00",
    ],
)
def test_every_spelling_of_one_moment_is_read(text):
    assert moment(text) == NOVEMBER_1994


def test_a_fraction_of_a_second_is_read():
    assert moment("1994-11-06T08:49:37.25Z") == NOVEMBER_1994 + 0.25


def test_a_two_digit_year_below_seventy_is_of_this_century():
    assert moment("Friday, 06-Nov-26 08:49:37 GMT") == moment("Fri, 06 Nov 2026 08:49:37 GMT")


def test_a_leap_second_is_the_second_before():
    assert moment("Sat, 31 Dec 2016 23:59:60 GMT") == moment("Sat, 31 Dec 2016 23:59:59 GMT")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Xyz 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0200",
        "1994-11-06",
        "1994-11-06T08:49:37",
        "1994-13-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT" + " and so on" * 10,
    ],
)
def test_what_is_no_moment_is_not_guessed_at(text):
    assert moment(text) is None


@given(st.text(max_size=80))
def test_no_text_makes_a_parser_raise(text):
    for read in (number, duration, moment):
        assert read(text) is None or isinstance(read(text), float)


@given(
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})\Z")
)
def test_no_timestamp_however_wrong_makes_the_parser_raise(text):
    assert moment(text) is None or isinstance(moment(text), float)
