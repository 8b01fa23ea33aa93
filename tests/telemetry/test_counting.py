"""What is counted here shows on the page as if the library had counted it."""

from enum import StrEnum

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from proxy.telemetry.counting import Counts, Spreads

BOUNDS = (0.25, 0.5, 1.0, 320.0)
LABELS = st.tuples(st.sampled_from(["a", 'b"\\\n']), st.sampled_from(["ok", "late"]))
OBSERVED = st.floats(0, 1000) | st.sampled_from(BOUNDS)


class Kind(StrEnum):
    LATE = "late"


class Ours:
    """One family of ours, as the library's renderers take it."""

    def __init__(self, family):
        self._family = family

    def collect(self):
        return [self._family]


class Theirs:
    """What the library counted, without the `_created` series, which we never tell."""

    def __init__(self, registry):
        self._registry = registry

    def collect(self):
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def pages(one):
    return generate_latest(one), openmetrics(one)


@given(st.lists(st.tuples(LABELS, st.integers(0, 1000))))
def test_a_counter_reads_as_the_library_s(counted):
    registry = CollectorRegistry()
    theirs = Counter("things", "Things.", ["name", "class"], registry=registry)
    ours = Counts("things", "Things.", "name", "class")
    for labels, amount in counted:
        theirs.labels(*labels).inc(amount)
        ours[labels] += amount
    assert pages(Ours(ours.family())) == pages(Theirs(registry))


@given(st.lists(st.tuples(LABELS, OBSERVED)))
def test_a_histogram_reads_as_the_library_s(observed):
    registry = CollectorRegistry()
    theirs = Histogram("seconds", "Seconds.", ["name", "class"], buckets=BOUNDS, registry=registry)
    ours = Spreads("seconds", "Seconds.", BOUNDS, "name", "class")
    for labels, value in observed:
        theirs.labels(*labels).observe(value)
        ours[labels].add(value)
    assert pages(Ours(ours.family())) == pages(Theirs(registry))


@given(st.lists(OBSERVED, max_size=5))
def test_a_histogram_without_labels_reads_as_the_library_s(observed):
    registry = CollectorRegistry()
    theirs = Histogram("seconds", "Seconds.", buckets=BOUNDS, registry=registry)
    ours = Spreads("seconds", "Seconds.", BOUNDS)
    for value in observed:
        theirs.observe(value)
        ours[()].add(value)
    ours[()]
    assert pages(Ours(ours.family())) == pages(Theirs(registry))


def test_a_single_label_may_be_told_bare():
    ours = Counts("things", "Things.", "name")
    ours["a"] += 2
    ours["a"] += 1
    (sample,) = ours.family().samples
    assert (sample.labels, sample.value) == ({"name": "a"}, 3)


def test_looking_at_a_counter_makes_no_series():
    ours = Counts("things", "Things.", "name")
    assert ours["a"] == 0
    assert ours.family().samples == []


def test_a_member_of_an_enumeration_is_told_and_found_by_its_value():
    ours = Counts("things", "Things.", "name", "class")
    ours["a", Kind.LATE] += 1
    ours["a", "late"] += 1
    (sample,) = ours.family().samples
    assert (type(sample.labels["class"]), sample.labels["class"], sample.value) == (str, "late", 2)
