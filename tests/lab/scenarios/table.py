"""All scenarios, in the order in which they are played."""

from lab.scenarios import clients, dead_providers, loads, operators, streams

SCENARIOS = sorted(
    [
        *loads.SCENARIOS,
        *dead_providers.SCENARIOS,
        *streams.SCENARIOS,
        *clients.SCENARIOS,
        *operators.SCENARIOS,
    ],
    key=lambda each: each.alone,
)
"""Those that start a program of their own come last."""
