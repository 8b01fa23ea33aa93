"""A browser for all tests of a file, and for each of them a page on a sidecar over two honest providers."""

import shutil

import pytest
from browsing import DESKTOP, Page, start_chromium
from lab.operator import Operator, managed
from lab.sidecar import running


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = start_chromium(shutil.which("chromium"), shutil.which("chromedriver"), tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
async def sidecar(p1, p2):
    async with running(managed({"p1": p1, "p2": p2})) as served:
        yield served


@pytest.fixture
def operator(sidecar):
    return Operator(sidecar)


@pytest.fixture
async def page(driver, sidecar):
    """Open nothing yet; afterwards the console must be silent, but for what the test took from it."""
    page = Page(driver, f"http://127.0.0.1:{sidecar.admin_port}")
    await page.emulate("setDeviceMetricsOverride", **DESKTOP)
    await page.emulate("setEmulatedMedia", features=[])
    yield page
    complaints = page.complaints()
    await page.leave()
    assert complaints == []
