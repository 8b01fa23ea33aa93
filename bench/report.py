"""The report: a Markdown table for people, and JSON with every round for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import ratio, tell
from bench.measures import BROKEN, BUSY, DROPPED, EXPORTED, KEPT, WRONG
from bench.performance import Result

SATURATED = 90.0
"""Percent of its core that the load may use before a rate is called a lower bound."""
RATES = {"requests/s", "events/s"}
NOT_COMPARED = {BUSY, WRONG, BROKEN, KEPT, EXPORTED, DROPPED}
HEAD = """\
Each cell: the ratio to **{baseline}** (median of the ratios round by round), the median, and in brackets the least and
the most of {rounds}."""
NOTE = """\
`>` marks a rate at which the load and the upstream had used up their own core: the proxy itself could do more. Every
answer is checked; where one was wrong, a row says so."""


def document(results: Sequence[Result], machine: Mapping[str, str], command: str, at: str) -> dict[str, Any]:
    """Everything, as JSON."""
    return {
        "machine": dict(machine),
        "command": command,
        "at": at,
        "plays": {
            result.play.name: {
                "question": result.play.question,
                "baseline": result.play.baseline,
                "headline": result.play.headline,
                "figures": {
                    contestant: {
                        name: summary(series, result.figures.get(result.play.baseline, {}).get(name, []))
                        for name, series in figures.items()
                    }
                    for contestant, figures in result.figures.items()
                },
            }
            for result in results
        },
        "troubles": [trouble for result in results for trouble in result.troubles],
    }


def summary(series: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    """One figure of one contestant."""
    told = tell(series)
    return {
        "median": told.median,
        "min": told.least,
        "max": told.most,
        "ratio": ratio(series, base),
        "rounds": [*series],
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The same for people."""
    machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    parts = [f"Measured {document['at']} with `{document['command']}` on: {machine}.", NOTE]
    for name, play in document["plays"].items():
        parts.append(f"## {name}: {play['question']}")
        parts.append(table(play) if play["figures"] else "Nobody could be measured.")
    if document["troubles"]:
        parts.append("## What went wrong\n\n" + "\n".join(f"* {trouble.strip()}" for trouble in document["troubles"]))
    return "\n\n".join(parts) + "\n"


def table(play: Mapping[str, Any]) -> str:
    """One play's table: a row for each figure, a column for each contestant."""
    figures, baseline = play["figures"], play["baseline"]
    names = list(figures)
    rounds = max(len(cell["rounds"]) for told in figures.values() for cell in told.values())
    head = HEAD.format(baseline=baseline, rounds=f"{rounds} rounds" if rounds > 1 else "the one round")
    rows = [head, "", "| | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]
    for figure in dict.fromkeys(figure for told in figures.values() for figure in told):
        if figure == WRONG and not any(told.get(figure, {}).get("max") for told in figures.values()):
            continue
        cells = (cell(figure, figures[name], with_ratio=name != baseline) for name in names)
        rows.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def cell(figure: str, told: Mapping[str, Any], *, with_ratio: bool) -> str:
    """One figure of one contestant, or a dash."""
    if figure not in told:
        return "-"
    found = told[figure]
    lower_bound = figure in RATES and told.get(BUSY, {}).get("median", 0.0) >= SATURATED
    text = number(found["median"])
    if len(found["rounds"]) > 1:
        text += f" ({number(found['min'])} to {number(found['max'])})"
    if figure in NOT_COMPARED or not with_ratio or found["ratio"] is None:
        return f"> {text}" if lower_bound else text
    return f"{'> ' if lower_bound else ''}**{found['ratio']:.2f}** {text}"


def number(value: float) -> str:
    """Three digits that count, and thousands set apart."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
