import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import records

from proxy.config.snapshot import Traces
from proxy.telemetry.propagation import Parent, parse_traceparent, parse_tracestate
from proxy.telemetry.sampling import head, keep

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_valid_traceparent_is_read():
    assert parse_traceparent(GOOD) == Parent(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_only_the_lowest_flag_says_sampled(flags, sampled):
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}").sampled is sampled


@pytest.mark.parametrize(
    "value",
    [
        "",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "-",
        GOOD + "-extra",
        GOOD + "0",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0\u0661",
        f"{GOOD}, {GOOD}",
        f"01-{TRACE}-{SPAN}-01-" + "x" * 10_000,
        f"01-{TRACE}-{SPAN}-01x",
    ],
)
def test_an_invalid_traceparent_begins_a_new_trace(value):
    assert parse_traceparent(value) is None


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-brings"])
def test_a_higher_version_is_read_by_its_first_part(more):
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01{more}") == Parent(int(TRACE, 16), int(SPAN, 16), sampled=True)


@given(st.text(max_size=80))
def test_no_text_makes_reading_fail(text):
    parse_traceparent(text)
    parse_tracestate(text)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_sent_upstream_reads_back_as_it_was(trace_id, span_id, sampled):
    record = records.record(trace_id=f"{trace_id:032x}", sampled=sampled)
    assert parse_traceparent(record.traceparent(span_id)) == Parent(trace_id, span_id, sampled=sampled)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, ""),
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,, b=2\t", "a=1,b=2"),
        ("tenant@system=1", "tenant@system=1"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=", ""),
        ("a=b=c", ""),
        ("a=\x01", ""),
        ("a=1,broken", ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
    ],
)
def test_a_malformed_tracestate_is_dropped_as_a_whole(value, kept):
    assert parse_tracestate(value) == kept


def test_a_long_tracestate_loses_its_longest_members_first():
    assert parse_tracestate(f"a=1,long={'x' * 200},longer={'y' * 250},also={'z' * 100}") == f"a=1,also={'z' * 100}"


def test_a_tracestate_that_is_still_too_long_loses_members_from_the_right():
    members = [f"k{number}={'v' * 100}" for number in range(8)]
    assert parse_tracestate(",".join(members)) == ",".join(members[:4])


@given(st.integers(0, 2**128 - 1))
def test_a_ratio_of_one_keeps_all_and_of_zero_none(trace_id):
    assert head(trace_id, 1.0) is True
    assert head(trace_id, 0.0) is False


@pytest.mark.parametrize(("low", "sampled"), [(0, True), (2**62 - 1, True), (2**62, False), (2**64 - 1, False)])
def test_a_ratio_compares_the_lower_half_of_the_trace_id(low, sampled):
    assert head((0xABC << 64) | low, 0.25) is sampled


ALWAYS = frozenset({"errors", "failovers"})


@pytest.mark.parametrize(
    ("record", "always_keep", "kept"),
    [
        (records.success(sampled=True), frozenset(), True),
        (records.success(sampled=False), ALWAYS, False),
        (records.cancelled(sampled=False), ALWAYS, False),
        (records.verdict(sampled=False), ALWAYS, False),
        (records.all_failed(sampled=False), ALWAYS, True),
        (records.broken_stream(sampled=False), frozenset({"errors"}), True),
        (records.broken_stream(sampled=False), frozenset({"failovers"}), False),
        (records.failover(sampled=False), frozenset({"failovers"}), True),
        (records.failover(sampled=False), frozenset({"errors"}), False),
    ],
)
def test_the_tail_keeps_what_is_worth_keeping(record, always_keep, kept):
    assert keep(record, Traces(always_keep=always_keep)) is kept
