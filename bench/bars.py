"""The bars: the figure that each play is about, for everybody who was measured side by side, as SVG."""

from collections.abc import Mapping
from typing import Any

from bench.plot import WIDTH, text
from bench.report import number

LEFT, ROOM, ROW, HEAD = 110, WIDTH - 110 - 150, 20, 34
SCALE = 8.0
"""A bar is at most this many times as long as the baseline's; longer ones are cut, and say so."""
OURS, THEIRS, BASE = "#1f5fa8", "#b9c3cf", "#7a8794"


def bars(document: Mapping[str, Any]) -> str:
    """Draw every play of a report that has a headline."""
    parts: list[str] = []
    top = 20.0
    for name, play in document["plays"].items():
        lengths = medians(play)
        if not lengths:
            continue
        parts.append(text(20, top + 14, f"{name}: {play['headline']}", size=14))
        parts += group(lengths, play["baseline"], top + HEAD)
        top += HEAD + ROW * len(lengths) + 18
    size = f'viewBox="0 0 {WIDTH} {top:.0f}" width="{WIDTH}" height="{top:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{top:.0f}" fill="white"/>', *parts, "</svg>"]) + "\n"


def medians(play: Mapping[str, Any]) -> dict[str, float]:
    """The headline's median by contestant; who is no proxy is not compared."""
    headline = play["headline"]
    told = {name: figures[headline]["median"] for name, figures in play["figures"].items() if headline in figures}
    told.pop("no proxy", None)
    return told


def group(lengths: Mapping[str, float], baseline: str, top: float) -> list[str]:
    """One bar for each contestant, from 0 on."""
    most = max(lengths.values())
    if lengths.get(baseline):
        most = min(most, lengths[baseline] * SCALE)
    parts = []
    for number_of_row, (name, value) in enumerate(lengths.items()):
        y, cut = top + number_of_row * ROW, value > most
        width = ROOM * min(1.0, value / most) if most > 0 else 0.0
        colour = BASE if name == baseline else OURS if name == "sidestep" else THEIRS
        parts.append(f'<rect x="{LEFT}" y="{y:.0f}" width="{max(width, 0.5):.1f}" height="{ROW - 5}" fill="{colour}"/>')
        parts.append(text(LEFT - 8, y + 12, name, anchor="end"))
        parts.append(text(LEFT + width + 6, y + 12, number(value) + (" (off the scale)" if cut else "")))
    return parts
