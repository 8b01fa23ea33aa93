"""What the load says, who gets which core, and what is read from metrics and heads."""

import json

import pytest

from bench.contestants import metric
from bench.ground import CouldNotMeasure, Totals, content_length, deal, parse_totals
from bench.machine import cpu_model

SPREAD = {"count": 2, "p50": 1.0, "p90": 2.0, "p99": 2.0, "max": 2.0}
TOLD = {
    "seconds": 1.0,
    "answered": 12,
    "in_time": 10,
    "left": 1,
    "streams": 3,
    "events": 300,
    "events_in_time": 290,
    "wrong": 0,
    "again": 0,
    "open": 4,
    "cpu": 0.25,
    "latency_ms": SPREAD,
    "first_ms": SPREAD,
    "gap_ms": SPREAD,
    "probe_ms": SPREAD,
}


def test_the_totals_are_the_last_line_of_a_load():
    assert parse_totals('{"second": 1.0}\n' + json.dumps(TOLD) + "\n") == Totals(**TOLD)


def test_a_load_that_says_nothing_could_not_measure():
    with pytest.raises(CouldNotMeasure):
        parse_totals("\n")


@pytest.mark.parametrize(
    ("cores", "proxy", "workers", "load"),
    [([0, 1], {0}, {0, 1}, {1}), ([2, 5, 7], {2}, {2, 5}, {5}), ([0, 1, 2, 3, 4], {0}, {0, 1}, {2, 3})],
)
def test_the_proxy_has_a_core_of_its_own(cores, proxy, workers, load):
    dealt = deal(cores)
    assert (dealt.proxy, dealt.workers, dealt.load) == (proxy, workers, load)


def test_one_core_is_not_enough():
    with pytest.raises(CouldNotMeasure):
        deal([0])


EXPOSITION = """\
# HELP sidestep_spans_dropped_total spans that never reached a collector
# TYPE sidestep_spans_dropped_total counter
sidestep_spans_dropped_total 3.0
sidestep_spans_dropped_total_created 1.7e9
sidestep_provider_in_flight{provider="first"} 2.0
sidestep_provider_in_flight{provider="a b"} 5.0
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [("sidestep_spans_dropped_total", 3.0), ("sidestep_provider_in_flight", 7.0), ("sidestep_spans", 0.0)],
)
def test_a_metric_is_the_sum_of_its_series_and_of_no_others(name, value):
    assert metric(EXPOSITION, name) == value


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y", 12),
        (b"HTTP/1.1 200 OK\r\nx-content-length: 3\r\ncontent-length:4", 4),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", None),
    ],
)
def test_a_body_is_as_long_as_its_head_says(head, length):
    assert content_length(head) == length


def test_a_processor_has_a_name_or_none():
    assert cpu_model("processor\t: 0\nmodel name\t: AMD EPYC 9\nmodel name\t: B") == "AMD EPYC 9"
    assert cpu_model("processor\t: 0\nBogoMIPS\t: 50.00") == "unknown"
