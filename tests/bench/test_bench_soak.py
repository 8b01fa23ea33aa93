"""The verdict on a soak, and its picture."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plot import PANEL, Box, Line, Panel, path, picture, ticks
from bench.soak import curves, markdown
from bench.verdict import Idle, Sample, drift, judge, table

IDLE = Idle(rss=60_000_000, descriptors=18, threads=8, in_flight=0)
MB = 1_000_000


def samples(sizes):
    return [
        Sample(second, second * 100, 100.0, rss, 40, 8, lag_p50_ms=1.0, lag_p99_ms=3.0)
        for second, rss in enumerate(sizes, 1)
    ]


def kept(sizes=(60 * MB,) * 100, after=IDLE, lag=5.0, wrong=0):
    return [finding.kept for finding in judge(samples(sizes), IDLE, after, lag, wrong)]


def test_a_flat_series_keeps_every_promise():
    assert kept() == [True] * 5


@pytest.mark.parametrize(
    ("broken", "position"),
    [
        ({"wrong": 1}, 0),
        ({"sizes": [(60 + 0.1 * second) * MB for second in range(100)]}, 1),
        ({"after": Idle(IDLE.rss, IDLE.descriptors + 1, 8, 0)}, 2),
        ({"after": Idle(IDLE.rss, IDLE.descriptors, 8, 1)}, 3),
        ({"lag": 10.1}, 4),
    ],
)
def test_each_promise_can_be_broken_alone(broken, position):
    assert kept(**broken) == [number != position for number in range(5)]


def test_memory_may_drift_by_eight_megabytes_at_most_however_large_it_is():
    assert not kept(sizes=[300 * MB] * 50 + [309 * MB] * 50)[1]
    assert kept(sizes=[300 * MB] * 50 + [307 * MB] * 50)[1]


def test_memory_may_drift_by_five_percent_at_most_however_small_it_is():
    assert not kept(sizes=[60 * MB] * 50 + [64 * MB] * 50)[1]
    assert kept(sizes=[60 * MB] * 50 + [62 * MB] * 50)[1]


def test_what_happens_while_it_warms_up_does_not_count():
    assert drift([30.0] * 10 + [60.0] * 90).bytes == 0


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=200), st.floats(0, 1e6))
def test_a_leak_that_never_rests_is_always_found(sizes, leak):
    steady = drift([100.0] * len(sizes))
    leaking = drift([100.0 + leak * second for second in range(len(sizes))])
    assert steady.bytes == 0
    assert leaking.bytes >= 0
    assert min(sizes) <= drift(sizes).begin <= max(sizes)


def test_the_table_says_what_is_not_kept():
    told = table(judge(samples([60 * MB] * 10), IDLE, IDLE, 12.5, 0))
    assert "| event-loop lag p99 at most 10 ms | 12.50 ms | **not kept** |" in told
    assert "| every answer right | 0 wrong | kept |" in told


def test_the_page_names_machine_and_command():
    told = {
        "machine": {"cores": "2"},
        "command": "python -m bench.soak",
        "at": "now",
        "mix": "plain:1",
        "totals": {"answered": 900, "left": 100, "seconds": 10.0, "events": 50},
        "counts": {"sidestep_failovers_total": 7.0},
    }
    page = markdown(told, [])
    assert "`python -m bench.soak` on: cores 2." in page
    assert "1,000 requests (plain:1) in 10 s, 100 a second, 50 events, 7 failovers, 100 clients that left." in page


@given(st.floats(1e-3, 1e9))
def test_the_axis_has_a_few_round_steps_and_covers_everything(most):
    steps = ticks(most)
    assert steps[0] == 0
    assert steps[-1] >= most * (1 - 1e-6)
    assert 3 <= len(steps) <= 6
    assert steps[-2] <= most


def test_a_line_goes_through_its_points():
    box = Box(top=10, longest=100, highest=50)
    assert path(box, [0, 100], [0, 50]) == f"M{box.x(0):.1f} {10 + PANEL:.1f} L{box.x(100):.1f} 10.0"
    assert box.x(0) < box.x(50) < box.x(100)


def test_the_picture_is_good_xml_and_has_every_line_and_limit():
    drawing = picture("a < b", [0.0, 1.0, 2.0], [
        Panel("one", [Line("x", [0.0, 1.0, 2.0]), Line("y", [2.0, 1.0, 0.0])], limit=10.0),
        Panel("nothing", [Line("z", [0.0, 0.0, 0.0])]),
    ])  # fmt: skip
    root = ET.fromstring(drawing)
    assert len([each for each in root if each.tag.endswith("path")]) == 3
    assert len([each for each in root if each.get("stroke-dasharray") == "5 4"]) == 1
    assert {"a < b", "one", "nothing", "x", "y"} <= {each.text for each in root}


def test_a_soak_is_drawn_with_its_number_of_requests():
    root = ET.fromstring(curves(samples([60 * MB, 61 * MB, 62 * MB]), {"sidestep": "1.2"}))
    assert "sidestep 1.2: 300 mixed requests to one worker on one core" in {each.text for each in root}
