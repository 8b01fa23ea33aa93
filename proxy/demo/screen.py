"""What the demo shows while it runs: a live table on a terminal, plain lines anywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

RECENT = 8
"""Events in the live view; all of them are printed at the end."""
_COLOURS = {"healthy": "green", "closed": "green", "half_open": "yellow", "open": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One provider, now."""

    provider: str
    behaviour: str
    """What the simulated provider really does."""
    breaker: str
    """What the sidecar thinks of it."""
    per_second: int
    """Answers it gave within the last second."""
    answers: int


@dataclass(frozen=True, slots=True)
class View:
    """One look at the scene."""

    elapsed: float
    length: float
    act: str
    rows: Sequence[Row]
    failovers: int
    errors: int


@dataclass(slots=True)
class Screen:
    """Use as a context manager. `event` for what happened, `show` several times a second for how things stand."""

    console: Console
    _events: list[str] = field(default_factory=list)
    _live: Live | None = None
    _view: View | None = None
    _printed_at: float = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is None:
            return
        self._live.stop()
        for event in self._events:
            self.console.print(event, highlight=False)

    def event(self, elapsed: float, text: str) -> None:
        """Tell that something happened, `elapsed` seconds into the demo."""
        line = f"{elapsed:5.1f} s  {text}"
        if self._live is None:
            self.console.print(line, highlight=False, soft_wrap=True)
            return
        self._events.append(line)
        self._draw()

    def show(self, view: View) -> None:
        """Show how things stand; without a terminal once a second."""
        self._view = view
        if self._live is not None:
            self._draw()
        elif view.elapsed - self._printed_at >= 1:
            self._printed_at = view.elapsed
            rows = "   ".join(f"{row.provider} {row.per_second}/s (breaker {row.breaker})" for row in view.rows)
            line = f"{view.elapsed:5.1f} s  {rows}   failovers {view.failovers}   errors {view.errors}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        if self._live is None or self._view is None:
            return
        view = self._view
        busiest = max(1, *(row.per_second for row in view.rows))
        table = Table(expand=True, box=None, header_style="dim")
        for heading in ("provider", "really", "breaker"):
            table.add_column(heading)
        table.add_column("answers/s", justify="right")
        table.add_column("", ratio=1)
        table.add_column("answers", justify="right")
        for row in view.rows:
            table.add_row(
                row.provider,
                Text(row.behaviour, style=_COLOURS.get(row.behaviour, "red")),
                Text(row.breaker.replace("_", " "), style=_COLOURS[row.breaker]),
                str(row.per_second),
                ProgressBar(total=busiest, completed=row.per_second, width=None),
                str(row.answers),
            )
        totals = Text(f"failovers {view.failovers}   errors seen by the app {view.errors}", style="bold")
        title = f"sidestep demo · {view.elapsed:4.1f} of {view.length:g} s · {view.act}"
        content = Group(table, "", totals, "", *(Text(event) for event in self._events[-RECENT:]))
        self._live.update(Panel(content, title=title, title_align="left"), refresh=True)
