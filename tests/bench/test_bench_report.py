"""The table, the JSON and the bars."""

import json
from xml.etree import ElementTree as ET

import pytest

from bench.bars import bars, medians
from bench.measures import BUSY, WRONG
from bench.performance import Result
from bench.plays import repertoire
from bench.report import document, markdown, number, table

PLAY = next(play for play in repertoire(1.0) if play.name == "plain-64")
MACHINE = {"cpu": "a <fast> one", "cores": "2"}


def report(**contestants):
    result = Result(PLAY)
    result.figures = contestants
    return document([result], MACHINE, "python -m bench", "2027-01-15 08:00 UTC")


def rows(told):
    return [line for line in table(told["plays"]["plain-64"]).splitlines() if line.startswith("|")]


BOTH = report(
    yardstick={"requests/s": [1000.0, 500.0, 800.0], "p50, ms": [1.0, 1.0, 1.0]},
    sidestep={"requests/s": [1500.0, 800.0, 1200.0], "p50, ms": [0.5, 0.25, 0.5]},
)


def test_the_ratio_comes_first_and_the_baseline_has_none():
    assert rows(BOTH) == [
        "| | yardstick | sidestep |",
        "|---|---:|---:|",
        "| requests/s | 800 (500 to 1,000) | **1.50** 1,200 (800 to 1,500) |",
        "| p50, ms | 1 (1 to 1) | **0.50** 0.500 (0.250 to 0.500) |",
    ]


def test_one_round_has_no_spread():
    told = report(yardstick={"requests/s": [10.0]}, sidestep={"requests/s": [20.0]})
    assert rows(told)[-1] == "| requests/s | 10 | **2.00** 20 |"


def test_a_rate_that_the_load_has_set_is_marked_as_a_lower_bound():
    told = report(yardstick={"requests/s": [10.0], BUSY: [20.0]}, nginx={"requests/s": [90.0], BUSY: [97.0]})
    assert rows(told)[2:] == ["| requests/s | 10 | > **9.00** 90 |", f"| {BUSY} | 20 | 97 |"]


def test_what_somebody_lacks_is_a_dash():
    told = report(yardstick={"requests/s": [10.0], "CPU": [1.0]}, direct={"requests/s": [10.0]})
    assert rows(told)[-1] == "| CPU | 1 | - |"


def test_wrong_answers_have_a_row_only_where_there_are_any():
    assert WRONG not in table(report(yardstick={WRONG: [0.0]})["plays"]["plain-64"])
    assert rows(report(yardstick={WRONG: [0.0, 3.0]}))[-1] == f"| {WRONG} | 1.50 (0 to 3) |"


def test_the_json_holds_every_round_and_the_machine():
    told = json.loads(json.dumps(BOTH))
    assert told["machine"] == MACHINE
    found = told["plays"]["plain-64"]["figures"]["sidestep"]["requests/s"]
    assert found == {"median": 1200.0, "min": 800.0, "max": 1500.0, "ratio": 1.5, "rounds": [1500.0, 800.0, 1200.0]}


def test_the_page_names_machine_command_and_troubles():
    told = report(yardstick={"requests/s": [10.0]}) | {"troubles": ["plain-64: envoy: gives no good answer"]}
    page = markdown(told)
    assert "cpu a <fast> one, cores 2" in page
    assert "`python -m bench`" in page
    assert page.endswith("## What went wrong\n\n* plain-64: envoy: gives no good answer\n")


def test_a_play_that_nobody_could_play_is_still_told_of():
    assert "Nobody could be measured." in markdown(report())


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346"), (7.0, "7")],
)
def test_numbers_have_three_digits_that_count(value, told):
    assert number(value) == told


def test_bars_are_as_long_as_their_medians_and_cut_where_they_are_off_the_scale():
    told = report(
        yardstick={"requests/s": [100.0]}, sidestep={"requests/s": [200.0]}, nginx={"requests/s": [5000.0]},
        **{"no proxy": {"requests/s": [9000.0]}},
    )  # fmt: skip
    root = ET.fromstring(bars(told))
    widths = [float(each.get("width")) for each in root if each.tag.endswith("rect")][1:]
    assert len(widths) == 3
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.11)
    assert widths[2] == pytest.approx(8 * widths[0], abs=0.5)
    assert "5,000 (off the scale)" in {each.text for each in root}


def test_a_play_without_its_headline_has_no_bars():
    assert medians(report(yardstick={"p50, ms": [1.0]})["plays"]["plain-64"]) == {}
