"""All scenarios, in the order in which they are played."""

from lab.scenarios import (
    clients,
    dead_providers,
    files,
    loads,
    machine,
    nonsense,
    operators,
    policies,
    processes,
    sinks,
    streams,
)

SCENARIOS = sorted(
    [
        *loads.SCENARIOS,
        *dead_providers.SCENARIOS,
        *streams.SCENARIOS,
        *clients.SCENARIOS,
        *nonsense.SCENARIOS,
        *files.SCENARIOS,
        *operators.SCENARIOS,
        *policies.SCENARIOS,
        *processes.SCENARIOS,
        *machine.SCENARIOS,
        *sinks.SCENARIOS,
    ],
    key=lambda each: each.alone,
)
"""Those that start a program of their own come last."""
