"""Alerts and dashboard ask for metrics, labels and label values that a running sidecar has."""

import json
import re
from pathlib import Path

import pytest
import yaml
from lab.configuration import refusing, routes
from lab.sidecar import running

from proxy.errors import ErrorClass
from proxy.telemetry.gauges import BREAKER_STATES, HEALTH

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "sidestep.json").read_text())
SELECTOR = re.compile(r"\b(sidestep_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"([^\"]*)\"")
BY = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"job", "instance", "le"}
SUFFIXES = ("_bucket", "_sum", "_count", "_total")
VALUES = {
    "class": {"ok", *(each.value for each in ErrorClass)},
    "state": set(BREAKER_STATES),
    "status": set(HEALTH),
    "outcome": set(re.findall(r"`(\w+)`", (ROOT / "proxy/record.py").read_text())),
}


def alerts():
    for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]:
        yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])


def panels():
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


EXPRESSIONS = [*alerts(), *panels()]
each_expression = pytest.mark.parametrize(
    "expression", [each for _, each in EXPRESSIONS], ids=[title for title, _ in EXPRESSIONS]
)


@pytest.fixture(scope="module")
def documented():
    """Metric -> its labels, by the table in docs/telemetry.md, which another test holds to the code."""
    found = re.findall(r"^\| `(sidestep_\w+)(?:\{([\w,]+)\})?`", (ROOT / "docs/telemetry.md").read_text(), re.MULTILINE)
    return {name: set(labels.split(",")) - {""} for name, labels in found}


async def test_every_metric_is_one_that_a_running_sidecar_tells():
    async with running(routes({"p1": refusing()})) as sidecar:
        page = (await sidecar.admin("/metrics")).body.decode()
    told = set(re.findall(r"^# TYPE (sidestep_\w+) ", page, re.MULTILINE))
    asked = {found[1] for _, expression in EXPRESSIONS for found in SELECTOR.finditer(expression)}
    unknown = {name for name in asked if name not in told and base(name) not in told}
    assert len(asked) > 20
    assert not unknown


def base(name):
    """The family of a histogram's series."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


@each_expression
def test_every_label_is_one_that_its_metric_has(expression, documented):
    for name, matchers in SELECTOR.findall(expression):
        has = documented.get(name) or documented.get(base(name), set())
        assert {label for label, _ in MATCHER.findall(matchers)} <= has | OF_PROMETHEUS
    grouped = {label.strip() for labels in BY.findall(expression) for label in labels.split(",")}
    labels = [documented.get(name) or documented.get(base(name), set()) for name, _ in SELECTOR.findall(expression)]
    assert grouped <= OF_PROMETHEUS.union(*labels)


@each_expression
def test_every_value_that_is_asked_for_can_occur(expression):
    for _, matchers in SELECTOR.findall(expression):
        for label, values in MATCHER.findall(matchers):
            if label in VALUES:
                assert set(values.split("|")) <= VALUES[label]


def test_every_provider_gauge_and_every_way_to_end_is_on_the_dashboard():
    shown = " ".join(expression for _, expression in panels())
    for metric in ("breaker_state", "provider_health", "failovers_total", "first_output_seconds", "tokens_total"):
        assert f"sidestep_{metric}" in shown
    assert "sum by (outcome)" in shown


def test_panels_have_numbers_and_places_of_their_own():
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
