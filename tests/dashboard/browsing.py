"""The dashboard as somebody sees it: in headless Chromium, driven without holding up the sidecar's event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.operator import TOKEN
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 20.0
"""Seconds that a busy machine gets to draw something."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--window-size=1280,900",
)
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": True}


def start_chromium(chromium: str, driver: str, profile: Path) -> webdriver.Chrome:
    """Start a browser that knows nobody and asks nobody."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


@dataclass
class Page:
    """One tab on one sidecar's dashboard."""

    driver: webdriver.Chrome
    origin: str

    async def open(self, token: str | None = TOKEN) -> None:
        """Load the page, and go through the door with a token."""
        await asyncio.to_thread(self.driver.get, f"{self.origin}/")
        if token is not None:
            await self.enter(token)
            await self.shows("#dashboard")

    async def leave(self) -> None:
        """Close the page, before the sidecar ends and its page complains."""
        await asyncio.to_thread(self.driver.get, "about:blank")

    async def enter(self, token: str) -> None:
        """Type a token and send it."""
        await self.shows("#token")
        await self.type("#token", token + Keys.ENTER)

    async def find(self, selector: str) -> str:
        """Read the text of the first element there, as it can be seen."""
        return await asyncio.to_thread(lambda: self._element(selector).text)

    async def shows(self, selector: str, text: str = "") -> None:
        """Wait until an element is there to be seen, with that in its text."""

        def shown(_: object) -> bool:
            seen = [each.text for each in self.driver.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()]
            return any(text in each for each in seen)

        await self._until(shown, f"{selector} never showed {text!r}")

    async def hides(self, selector: str) -> None:
        """Wait until nothing of that can be seen."""

        def hidden(_: object) -> bool:
            return not any(each.is_displayed() for each in self.driver.find_elements(By.CSS_SELECTOR, selector))

        await self._until(hidden, f"{selector} never went away")

    async def click(self, selector: str) -> None:
        """Click, as a mouse does."""
        await asyncio.to_thread(lambda: self._element(selector).click())

    async def type(self, selector: str, keys: str) -> None:
        """Type into an element."""
        await asyncio.to_thread(lambda: self._element(selector).send_keys(keys))

    async def press(self, *keys: str) -> None:
        """Press keys wherever the focus is."""
        await asyncio.to_thread(lambda: ActionChains(self.driver).send_keys(*keys).perform())

    async def run(self, script: str, *arguments: object) -> object:
        """Run a script in the page; what it returns."""
        return await asyncio.to_thread(self.driver.execute_script, script, *arguments)

    async def becomes(self, script: str, wanted: object) -> None:
        """Wait until a script returns that."""
        await self._until(lambda _: self.driver.execute_script(script) == wanted, f"{script} never became {wanted!r}")

    async def emulate(self, command: str, **parameters: object) -> None:
        """Be another screen, or another person's settings."""
        await asyncio.to_thread(self.driver.execute_cdp_cmd, f"Emulation.{command}", parameters)

    def complaints(self) -> list[str]:
        """Take what the console has said since it was last asked: errors, violations of the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def _element(self, selector: str) -> webdriver.remote.webelement.WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    async def _until(self, condition: Callable[[object], bool], complaint: str) -> None:
        wait = WebDriverWait(self.driver, PATIENCE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        await asyncio.to_thread(wait.until, condition, complaint)
