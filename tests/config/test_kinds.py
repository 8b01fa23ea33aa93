"""What a single value may be."""

import pytest

from proxy.config import kinds
from proxy.config.secrets import Secret
from proxy.config.snapshot import Quantile


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        (kinds.boolean, True, True),
        (kinds.integer, 3, 3),
        (kinds.number, 2, 2.0),
        (kinds.text, "", ""),
        (kinds.secret, "sk-1", Secret("sk-1")),
        (kinds.secret, "", None),
        (kinds.header, "My app", "My app"),
        (kinds.header, "", ""),
        (kinds.url, "https://host/v1", "https://host/v1"),
        (kinds.url, "http://[::1]:8080", "http://[::1]:8080"),
        (kinds.endpoint, "", ""),
        (kinds.delay, "p95", Quantile.P95),
        (kinds.delay, "2s", 2.0),
    ],
)
def test_a_kind_takes_what_it_is_made_for(kind, value, meant):
    assert kind(value) == meant


@pytest.mark.parametrize(
    ("kind", "value", "fragment"),
    [
        (kinds.boolean, "yes", "true or false"),
        (kinds.boolean, 1, "true or false"),
        (kinds.integer, True, "whole number"),
        (kinds.integer, 1.0, "whole number"),
        (kinds.number, True, "not a number"),
        (kinds.number, float("nan"), "not a number"),
        (kinds.number, float("inf"), "not a number"),
        (kinds.text, 4, "quotes"),
        (kinds.secret, 4, "quotes"),
        (kinds.secret, "sk-1\n", "line break"),
        (kinds.secret, "sk 1", "space"),
        (kinds.secret, "schlüssel", "character"),
        (kinds.header, 4, "quotes"),
        (kinds.header, "a\r\nb: c", "header"),
        (kinds.header, " a", "outer spaces"),
        (kinds.header, "é", "ASCII"),
        (kinds.url, "", "not a URL"),
        (kinds.url, "host/path", "http or https"),
        (kinds.url, "ftp://host", "http or https"),
        (kinds.url, "https://", "http or https"),
        (kinds.url, "https://host:0", "http or https"),
        (kinds.url, "https://[::1", "cannot be read"),
        (kinds.url, "https://host:99999", "cannot be read"),
        (kinds.url, "https://user:pass@host", "credentials"),
        (kinds.url, "https://host?key=1", "query"),
        (kinds.url, "https://host#part", "fragment"),
        (kinds.url, "https://ho st", "not a URL"),
        (kinds.endpoint, "collector:4317", "http or https"),
        (kinds.delay, "p90", "neither a duration nor p50, p95 or p99"),
        (kinds.delay, 2, "neither a duration"),
    ],
)
def test_a_kind_says_what_is_wrong(kind, value, fragment):
    with pytest.raises(ValueError, match=fragment):
        kind(value)


@pytest.mark.parametrize("kind", kinds.KINDS.values())
def test_no_kind_repeats_what_it_refuses(kind):
    """A line break and a colon in the middle make this fit for nothing but plain text."""
    if kind is kinds.text:
        assert kind("canary\n:7") == "canary\n:7"
        return
    with pytest.raises(ValueError, match=r"^(is|holds|has|cannot) ") as caught:
        kind("canary\n:7")
    assert "canary" not in str(caught.value)
