"""A small plot: panels under one another over the same time, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP = 900, 70, 20, 56
PANEL, GAP = 130, 44
COLOURS = ("#1f5fa8", "#c2571a")
INK, PALE = "#222", "#ddd"


@dataclass(frozen=True, slots=True)
class Line:
    """One series; as many values as there are times."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn together, on a scale that begins at 0."""

    title: str
    lines: Sequence[Line]
    limit: float | None = None
    """A promise, drawn as a dashed line."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a panel's values go: its corners in pixels, and what they stand for."""

    top: float
    longest: float
    highest: float

    def x(self, time: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * time / self.longest

    def y(self, value: float) -> float:
        return self.top + PANEL * (1 - value / self.highest)


def picture(title: str, times: Sequence[float], panels: Sequence[Panel]) -> str:
    """Draw the panels. `times` are seconds from 0 on, at least two."""
    height = TOP + len(panels) * (PANEL + GAP) + 20
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 24, title, size=15),
    ]
    for number, panel in enumerate(panels):
        parts += drawn(panel, times, TOP + number * (PANEL + GAP))
    parts += [text(WIDTH / 2, height - 8, "seconds", anchor="middle"), "</svg>"]
    return "\n".join(parts) + "\n"


def drawn(panel: Panel, times: Sequence[float], top: float) -> list[str]:
    """One panel: grid, lines, limit, legend."""
    most = max([*(value for line in panel.lines for value in line.values), panel.limit or 0.0])
    heights, widths = ticks(most or 1.0), ticks(max(times) or 1.0)
    box = Box(top, max(times) or 1.0, max(heights[-1], most or 1.0))
    parts = [text(LEFT, top - 8, panel.title)]
    for height in heights:
        parts.append(stroke(LEFT, box.y(height), WIDTH - RIGHT, box.y(height), PALE))
        parts.append(text(LEFT - 8, box.y(height) + 4, short(height), anchor="end"))
    below = top + PANEL + 16
    parts += [text(box.x(each), below, short(each), anchor="middle") for each in widths if each <= box.longest]
    if panel.limit is not None:
        parts.append(stroke(LEFT, box.y(panel.limit), WIDTH - RIGHT, box.y(panel.limit), "#b00", dashes="5 4"))
    for line, colour in zip(panel.lines, COLOURS, strict=False):
        parts.append(f'<path d="{path(box, times, line.values)}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    if len(panel.lines) > 1:
        for number, (line, colour) in enumerate(zip(panel.lines, COLOURS, strict=False)):
            parts.append(text(WIDTH - RIGHT - 90 * number, top - 8, line.name, anchor="end", colour=colour))
    return parts


def path(box: Box, times: Sequence[float], values: Sequence[float]) -> str:
    """The line through all points, in SVG's words."""
    points = (f"{box.x(time):.1f} {box.y(value):.1f}" for time, value in zip(times, values, strict=True))
    return "M" + " L".join(points)


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to at least `most` (above 0), three to six of them."""
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def short(value: float) -> str:
    """A number beside the axis."""
    return f"{value:,.10g}"


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK, size: int = 12) -> str:
    """Words at a place."""
    style = f'text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def stroke(x: float, y: float, to_x: float, to_y: float, colour: str, dashes: str = "none") -> str:
    """A straight line."""
    style = f'stroke="{colour}" stroke-dasharray="{dashes}"'
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" {style}/>'
