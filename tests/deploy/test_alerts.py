"""The alert rules and what belongs to them: checked by Prometheus' own tool, tested both ways, each with a remedy."""

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"),
        ("test", "rules", "alerts.test.yaml"),
    ],
    ids=["config", "rules", "stories"],
)
def test_promtool_has_nothing_to_object_to(arguments):
    status, said = promtool(*arguments)
    assert status == 0, said


@pytest.mark.needs_promtool
@pytest.mark.parametrize(("old", "new"), [("> 0.05", "> 0.5"), ("for: 2m", "for: 20m"), ("failed|broken", "failed")])
def test_the_stories_notice_a_rule_that_was_changed(old, new, tmp_path):
    (tmp_path / "alerts.yaml").write_text((DEPLOY / "alerts.yaml").read_text().replace(old, new, 1))
    stories = tmp_path / "alerts.test.yaml"
    stories.write_text((DEPLOY / "alerts.test.yaml").read_text())
    assert promtool("test", "rules", str(stories))[0] == 1


@pytest.mark.parametrize("alert", NAMES)
def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not(alert):
    stories = yaml.safe_load((DEPLOY / "alerts.test.yaml").read_text())["tests"]
    expected = [
        case["exp_alerts"] for story in stories for case in story["alert_rule_test"] if case["alertname"] == alert
    ]
    assert any(expected)
    assert not all(expected)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_says_how_bad_it_is_and_leads_to_what_to_do(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in (ROOT / page).read_text()


def test_every_remedy_belongs_to_an_alert():
    written = (ROOT / "docs" / "deployment.md").read_text().split("\n## When an alert fires\n")[1].split("\n## ")[0]
    assert [line.removeprefix("### ") for line in written.splitlines() if line.startswith("### ")] == NAMES
