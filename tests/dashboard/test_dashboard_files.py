"""The dashboard's files: served to anyone, made of nothing foreign, and able to ask their own listener only."""

import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from lab.operator import Operator

import proxy.server.admin.dashboard as package
from proxy.server.admin.dashboard.serving import HEADERS, file_at

FOLDER = Path(package.__file__).parent / "page"
FILES = sorted(file.name for file in FOLDER.iterdir())
SCRIPTS = [name for name in FILES if name.endswith(".js")]
PATHS = ["/", *(f"/dashboard/{name}" for name in FILES if name != "index.html")]
THEMES = {"light": r":root \{(.*?)\}", "dark": r':root\[data-theme="dark"\] \{(.*?)\}'}


def text(name):
    return (FOLDER / name).read_text()


@pytest.mark.parametrize("path", PATHS)
async def test_every_file_is_served_without_a_token(operator, path):
    response = await operator.ask("GET", path, token=None)
    assert response.status == 200
    assert response.body == file_at(path).body


@pytest.mark.parametrize("path", PATHS)
async def test_every_file_carries_the_policy_and_is_not_sniffed_framed_or_stored(operator, path):
    headers = (await operator.ask("GET", path, token=None)).headers
    assert {name: headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert headers.get("x-content-type-options") == "nosniff"
    assert headers.get("cache-control") == "no-store"


@pytest.mark.parametrize(
    "directive",
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ],
)
def test_the_policy_allows_this_listener_and_nothing_else(directive):
    policy = HEADERS["content-security-policy"]
    assert directive in policy.split("; ")
    assert "unsafe" not in policy


async def test_a_head_is_answered_without_the_body(operator):
    response = await operator.ask("HEAD", "/", token=None)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_a_file_can_only_be_read(operator, method):
    response = await operator.ask(method, "/", token=None)
    assert (response.status, response.headers.get("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("headers", [{"Host": "rebound.example"}, {"Origin": "http://evil.example"}])
async def test_a_page_from_elsewhere_gets_no_file(operator, headers):
    assert (await operator.ask("GET", "/", token=None, headers=headers)).status == 403


async def test_the_listener_of_the_app_has_no_dashboard(sidecar):
    sidecar.admin_port = sidecar.port
    assert (await Operator(sidecar).ask("GET", "/", token=None)).status == 404


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_a_foreign_address(name):
    addresses = set(re.findall(r"\w+://[^\s\"']*|[\"']//\w", text(name)))
    assert addresses <= {"http://www.w3.org/2000/svg"}


class References(HTMLParser):
    """Collects what a page loads, and what it must not have: code and style of its own."""

    def __init__(self):
        super().__init__()
        self.loaded, self.inline = [], []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.loaded += [named[key] for key in ("src", "href") if named.get(key, "#")[0] != "#"]
        self.inline += [key for key in named if key.startswith("on") or key == "style"]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)


def test_everything_that_the_page_loads_is_there_and_nothing_is_inline():
    page = References()
    page.feed(text("index.html"))
    assert page.inline == []
    assert {path for path in page.loaded if file_at(path) is None} == set()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_module_that_a_script_imports_is_there(name):
    imported = re.findall(r'from "\./([^"]+)"', text(name))
    assert set(imported) <= set(SCRIPTS)


def test_no_script_is_left_over():
    used = {name for script in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', text(script))}
    assert used | {"main.js", "theme.js"} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_of_text(name):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|cookie\s*=", text(name)
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_small_and_says_in_its_first_line_what_it_is(name):
    lines = text(name).splitlines()
    assert re.match(r"/\*\* .+|// .+", lines[0])
    assert len(lines) <= 240


def luminance(colour):
    digits = colour if len(colour) == 6 else "".join(2 * each for each in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """The ratio of WCAG 2.2, from 1 to 21."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


INKS = [
    *product(["ink", "quiet", "accent", "good", "warn", "bad", "off"], ["panel", "ground"]),
    *product(["ink", "quiet"], ["sunk", "good-wash", "warn-wash", "bad-wash", "off-wash"]),
    *((tone, f"{tone}-wash") for tone in ("good", "warn", "bad")),
    ("on-accent", "accent"),
    ("ground", "ink"),
]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "paper"), INKS)
def test_every_text_stands_out_from_its_ground(theme, ink, paper):
    found = re.search(THEMES[theme], text("style.css"), re.DOTALL)[1]
    colours = dict(re.findall(r"--([\w-]+): #(\w+);", found))
    assert contrast(colours[ink], colours[paper]) >= 4.5


def test_dark_is_the_same_whether_chosen_or_inherited():
    chosen = re.search(THEMES["dark"], text("style.css"), re.DOTALL)[1]
    inherited = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', text("style.css"), re.DOTALL)[1]
    assert chosen.split() == inherited.split()
