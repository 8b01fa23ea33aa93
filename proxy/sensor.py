"""The task that feels how this process is doing: whether its event loop keeps up, and how full its memory is."""

import logging
from collections.abc import Callable

from proxy.cgroup import memory_groups, memory_share
from proxy.clock import Clock
from proxy.config.snapshot import Limits
from proxy.resilience.load import Load

PERIOD = 0.2
"""Seconds between two looks."""
MEMORY_EVERY = 5
"""Looks for each reading of the memory files."""

logger = logging.getLogger("sidestep.load")


async def watch(
    load: Load, limits: Callable[[], Limits], clock: Clock, memory: Callable[[], float] | None = None
) -> None:
    """Look for ever. `memory` returns the share of a limit in use; None asks the control groups."""
    groups = memory_groups()
    read = memory or (lambda: memory_share(groups))
    looks, share = 0, 0.0
    while True:
        load.expect(clock.now() + PERIOD)
        await clock.sleep(PERIOD)
        if looks % MEMORY_EVERY == 0:
            share = read()
        looks += 1
        before = load.strain
        load.observe(clock.now(), share, limits())
        if load.strain is not before:
            _announce(load, clock.now())


def _announce(load: Load, now: float) -> None:
    found = {"lag_seconds": round(load.lag(now), 3), "memory": round(load.memory, 3)}
    if load.strain is None:
        logger.info("new requests are taken again", extra=found)
    else:
        logger.warning("new requests are refused", extra={"reason": load.strain.value, **found})
