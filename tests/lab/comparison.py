"""What a trouble costs: the same questions with it and without, in turns, so that whatever else happens slows both."""

import statistics
from collections.abc import Awaitable, Callable

from lab.history import Sent
from lab.stage import Stage

ROUNDS = (15, 60)
"""The 99th percentile of a hundred is the second slowest of them, so that a few rounds would leave it to luck. When the
first number of them says that a trouble costs too much, all of them decide."""

Ask = Callable[[bool], Awaitable[Sent]]
"""Puts a question; whether its answer is to be streamed."""


async def compare(stage: Stage, calm: Ask, troubled: Ask, *, limit: float) -> None:
    """Expect every question to be answered, and trouble to cost at most so many milliseconds at the 99th percentile."""
    costs: list[float] = []
    for rounds in ROUNDS:
        while len(costs) < rounds:
            costs.append(await _round(stage, calm, troubled))
        cost = statistics.median(costs)
        if cost <= limit or not stage.history.timed:
            break
    stage.figures["cost"] = cost
    stage.see(f"{max(cost, 0.0):.1f} ms more at p99")
    stage.expect(not stage.history.timed or cost <= limit, f"requests took {cost:.1f} ms more at p99")


async def _round(stage: Stage, calm: Ask, troubled: Ask) -> float:
    """Ask both in turns; by how many milliseconds the 99th percentiles differ."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * stage.requests):
        sent = await (calm, troubled)[number % 2](number % 4 > 1)
        stage.expect(sent.answered, f"{sent.nonce}: {sent.status} {sent.problem} {sent.body[-200:]!r}")
        took[number % 2].append(sent.took * 1000)
    without, with_it = (sorted(times)[int(len(times) * 0.99) - 1] for times in took)
    return with_it - without
