"""The laboratory's table: live for people, as Markdown, as JSON, and in docs/reliability.md."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable

from lab.playing import Result

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = ("errors", "added ms p50", "p99", "calls a request", "memory MiB")
HEALTHY = "nothing is wrong"
"""The scenario that the others' latencies are compared with."""


def tell(result: Result, *, alone: bool) -> None:
    """Print one line for a result, and why when it failed."""
    if alone:
        print(f"{'':4}  {'fault':44} {'s':>5}  seen")
    word = "ok" if result.passed else "FAIL" if result.judged else "--"
    print(f"{word:4}  {result.scenario.name[:44]:44} {result.seconds:5.1f}  {result.seen}")
    for reason in result.broken if not result.passed else ():
        print(f"{'':6}{reason}")
    if not result.passed and result.seed:
        print(f"{'':6}again: --seed {result.seed}")


def as_json(results: Iterable[Result]) -> str:
    """Everything, for programs."""
    rows = [
        {
            "chapter": each.scenario.chapter,
            "name": each.scenario.name,
            "expected": each.scenario.expected,
            "seen": each.seen,
            "passed": each.passed,
            "broken": each.broken,
            "seed": each.seed,
            "seconds": round(each.seconds, 3),
            "figures": {name: round(value, 3) for name, value in each.figures.items()},
        }
        for each in results
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def as_markdown(results: list[Result]) -> str:
    """The table by chapter: what was expected, what was seen, and the figures (medians of all repeats)."""
    base = _baseline(results)
    chapters: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        chapters[result.scenario.chapter][result.scenario.name].append(result)
    parts = []
    for chapter, rows in chapters.items():
        lines = [f"### {chapter}", "", f"| fault | expected | seen | {' | '.join(COLUMNS)} | kept |"]
        lines.append("|---|---|---|" + "---:|" * len(COLUMNS) + "---|")
        lines += [_line(name, repeats, base) for name, repeats in rows.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def renewed(page: str, results: list[Result]) -> str:
    """Replace what stands between the two marks of a page."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    names = {(result.scenario.chapter, result.scenario.name) for result in results}
    kept = sum(result.passed for result in results)
    told = f"{len(names)} scenarios, {len(results)} runs, {kept} kept every promise; figures are medians over the runs."
    return f"{head}{BEGIN}\n\n{told}\n\n{as_markdown(results)}\n{END}{tail}"


def _line(name: str, repeats: list[Result], base: dict[str, float]) -> str:
    def figure(key: str) -> float | None:
        values = [result.figures[key] for result in repeats if key in result.figures]
        return statistics.median(values) if values else None

    def added(key: str) -> str:
        value = figure(key)
        return "" if value is None or key not in base else f"{max(0.0, value - base[key]):.1f}"

    errors, calls, memory = figure("errors"), figure("calls"), figure("memory")
    cells = [
        "" if errors is None else f"{errors:.0f}",
        added("p50"),
        added("p99"),
        "" if calls is None else f"{calls:.2f}",
        "" if memory is None else f"{max(0.0, memory):.1f}",
    ]
    passed = sum(result.passed for result in repeats)
    kept = "yes" if passed == len(repeats) else f"**{passed} of {len(repeats)}**"
    last = repeats[-1]
    return f"| {name} | {last.scenario.expected} | {last.seen} | {' | '.join(cells)} | {kept} |"


def _baseline(results: list[Result]) -> dict[str, float]:
    healthy = [result.figures for result in results if result.scenario.name == HEALTHY]
    keys = {key for figures in healthy for key in figures}
    return {key: statistics.median(figures[key] for figures in healthy if key in figures) for key in keys}
