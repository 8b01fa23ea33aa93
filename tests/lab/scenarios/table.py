"""All scenarios, in the order in which they are played."""

from lab.scenarios import dead_providers, streams

SCENARIOS = [*dead_providers.SCENARIOS, *streams.SCENARIOS]
