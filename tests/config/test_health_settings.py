"""Whose health settings a provider has: its policies' strictest, and its own on top."""

from dataclasses import astuple

import pytest

from proxy.config.load import load
from proxy.config.snapshot import Expectation, HealthSettings, ProviderHealth

ROUTES = """\
version: 1
providers:
  a: {{dialect: openai, base_url: "https://a.test/v1", supports: [chat, embeddings]{own}}}
routes:
  - {{name: chat, match: {{path: /v1/chat/completions}}, providers: [a], policy: one}}
  - {{name: embeddings, match: {{path: /v1/embeddings}}, providers: [a], policy: other}}
"""


@pytest.fixture
def health(tmp_path):
    """Load a provider used with two policies; tell its health settings."""

    def read(one="", other="", own=""):
        (tmp_path / "policies").mkdir()
        for name, section in (("one", one), ("other", other)):
            text = f"health: {section}\n" if section else ""
            (tmp_path / "policies" / f"{name}.yaml").write_text("version: 1\n" + text)
        (tmp_path / "routes.yaml").write_text(ROUTES.format(own=f", health: {own}" if own else ""))
        return load(tmp_path / "routes.yaml", None, {}).providers["a"].health

    return read


def test_nothing_said_is_the_documented_default(health):
    assert health() == ProviderHealth()
    assert astuple(HealthSettings()) == (60.0, 5.0, 3, 2)


def test_of_several_policies_the_one_that_checks_most_often_counts_whole(health):
    found = health("{interval: 90s, unhealthy_after: 9}", "{interval: 30s, timeout: 1s}")
    assert (found.interval, found.timeout, found.unhealthy_after) == (30.0, 1.0, 3)


def test_a_policy_without_checks_does_not_switch_off_another_s(health):
    assert health("{interval: 0s}", "{interval: 5m}").interval == 300.0


def test_checks_are_off_when_every_policy_says_so(health):
    assert health("{interval: 0s}", "{interval: 0s}").interval == 0.0


def test_a_provider_s_own_keys_win_one_by_one(health):
    found = health("{interval: 30s, timeout: 1s}", own="{interval: 10m, path: /up, expect: {status: 204}}")
    assert (found.interval, found.timeout, found.path) == (600.0, 1.0, "/up")
    assert found.expect == Expectation(status=204)
