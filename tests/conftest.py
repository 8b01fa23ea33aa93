"""What holds for every test, and what becomes of tests that need a program which is not installed here."""

import shutil

import pytest
from hypothesis import settings
from lab.upstream import Upstream

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

NEEDS = {
    "needs_chromium": (("chromium", "chromedriver"), "apt-get install chromium chromium-driver"),
    "needs_compiler": (("cc",), "apt-get install gcc libc6-dev"),
    "needs_faketime": (("faketime",), "apt-get install faketime"),
    "needs_promtool": (("promtool", "prometheus"), "apt-get install prometheus"),
    "needs_systemd": (("systemd-analyze",), "apt-get install systemd"),
}
"""Marker -> the programs that its tests run, and how Debian installs them. `.ci/run` does."""


def missing(marker: str) -> bool:
    """Whether a program that this marker's tests run is not installed."""
    return not all(map(shutil.which, NEEDS[marker][0]))


def pytest_configure(config: pytest.Config) -> None:
    for marker, (programs, _) in NEEDS.items():
        config.addinivalue_line("markers", f"{marker}: runs {' and '.join(programs)}; left out where they are missing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; the summary tells of it."""
    absent = [marker for marker in NEEDS if missing(marker)]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in every run, quiet or not, which tests were left out and what would bring them back."""
    for marker in filter(missing, NEEDS):
        programs, remedy = NEEDS[marker]
        terminalreporter.write_line(f"left out: tests that run {' and '.join(programs)}; to have them: {remedy}")


@pytest.fixture
async def p1():
    """An honest provider, until a test makes it lie."""
    async with Upstream("p1") as upstream:
        yield upstream


@pytest.fixture
async def p2():
    """Another one."""
    async with Upstream("p2") as upstream:
        yield upstream
