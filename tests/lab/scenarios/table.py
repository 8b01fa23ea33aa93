"""All scenarios, in the order in which they are played."""

from lab.scenarios import (
    changes,
    clients,
    dead_providers,
    files,
    loads,
    machine,
    nonsense,
    operators,
    pictures,
    policies,
    processes,
    readers,
    sinks,
    streams,
)

SCENARIOS = sorted(
    [
        *loads.SCENARIOS,
        *dead_providers.SCENARIOS,
        *pictures.SCENARIOS,
        *streams.SCENARIOS,
        *clients.SCENARIOS,
        *nonsense.SCENARIOS,
        *files.SCENARIOS,
        *changes.SCENARIOS,
        *operators.SCENARIOS,
        *policies.SCENARIOS,
        *processes.SCENARIOS,
        *machine.SCENARIOS,
        *readers.SCENARIOS,
        *sinks.SCENARIOS,
    ],
    key=lambda each: each.alone,
)
"""Those that start a program of their own come last."""
