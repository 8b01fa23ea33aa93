"""What the pages say about the product is what the product does, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

from proxy.config.snapshot import StrategyName
from proxy.errors import ClientError, ProviderVerdict, SidestepError
from proxy.messages import Operation, Request
from proxy.record import Record
from proxy.resilience.outcome import DEFAULT_TABLE, Again, Elsewhere
from proxy.server.answer import reply_headers

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DRAWN = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(page):
    return DRAWN.sub("", page.read_text())


def rows(page, heading):
    """Read the table under a heading: a list of cells per row, the first row left out."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


SAME = {"yes": Again.YES, "no": Again.NO, "only if it was not sent": Again.IF_UNSENT}
SAME |= {"only when nobody else is left": Again.LAST}
OTHER = {"yes": Elsewhere.YES, "no": Elsewhere.NO, "only with a larger declared window": Elsewhere.LARGER_WINDOW}
BREAKER = {"yes": True, "no": False}


def test_the_class_table_is_the_one_that_decides():
    written = {
        row[0].strip("`"): (SAME[row[2]], OTHER[row[3]], BREAKER[row[4]])
        for row in rows("docs/failures.md", "The classes")
    }
    decided = {
        name.value: (line.same_provider, line.other_provider, line.breaker) for name, line in DEFAULT_TABLE.items()
    }
    assert written == decided


def test_the_strategies_are_those_that_exist():
    written = {row[0].strip("`") for row in rows("docs/policies.md", "Whom to ask first")}
    assert written == {name.value for name in StrategyName}


def test_the_headers_are_those_of_every_answer():
    request = Request(id="r", operation=Operation.CHAT, path="")
    record = Record(request, 1, started=0.0, wall_offset=0.0)
    written = {row[0].strip("`") for row in rows("README.md", "What an answer tells")}
    assert written == set(reply_headers(record, 1.0)) - {"server"}


def test_every_error_that_ends_a_request_is_in_the_table():
    table = {row[0]: row[1] for row in rows("docs/failures.md", "What the app is told")}
    endings = {error for error in SidestepError.__subclasses__() if error not in {ClientError, ProviderVerdict}}
    assert endings
    assert {error.code for error in endings} == {table[str(error.status)].strip("`") for error in endings}


def test_every_code_in_the_table_is_one_that_the_program_says():
    source = "".join(path.read_text() for path in (ROOT / "proxy").rglob("*.py"))
    written = re.findall(r"`(\w+)`", "".join(row[1] for row in rows("docs/failures.md", "What the app is told")))
    assert [code for code in written if f'"{code}"' not in source] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_can_be_reached_from_the_readme():
    linked = prose(ROOT / "README.md")
    assert [page.name for page in sorted((ROOT / "docs").glob("*.md")) if f"(docs/{page.name})" not in linked] == []
