"""The last word of the demo: its figures, all measured."""

from rich.console import Console

from proxy.demo.figures import Summary
from proxy.demo.story import CutStream

SHOWN = 5
"""Errors that are told in full."""


def report(console: Console, summary: Summary, cut: CutStream) -> None:
    """Print the summary, a figure a line."""
    by_provider = ", ".join(f"{count} by the {name}" for name, count in sorted(summary.by_provider.items()))
    figures = {
        "requests": f"{summary.requests}, {summary.streams} of them streams; answered {by_provider}",
        "failovers": f"{summary.failovers}; the open breaker sent {summary.kept_away} more to the secondary at once",
        "errors seen by the app": f"{len(summary.errors)}",
        "usual wait": f"{_milliseconds(summary.usual_wait)} to the first output",
        "worst added wait": f"{_milliseconds(summary.worst_added)} during the outage",
        "time to fail over": f"{_milliseconds(summary.failed_over_in)} from the outage to the secondary's first answer",
        "time to return": f"{_seconds(summary.returned_in)} from the recovery to the primary's first answer",
        "a stream cut half-way": _told(cut),
    }
    lines = ["", "what happened", *(f"  {name:<24}{figure}" for name, figure in figures.items())]
    lines += [f"  error: {error}" for error in summary.errors[:SHOWN]]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _told(cut: CutStream) -> str:
    if cut.told:
        return f"the client read {cut.words} words, then the error '{cut.error}', and no [DONE]"
    return "ended as if it were complete" if cut.done else "ended without a word"


def _milliseconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"
