"""How much of its traffic a provider gets back after its breaker has closed."""

_FLOOR = 0.1
"""The share it starts with: enough to show in a minute whether it has recovered, too little to knock it over again."""


def share(now: float, recovered_at: float | None, ramp: float) -> float:
    """Return the share in (0, 1], growing in a straight line over `ramp` seconds; 1 for who never was away."""
    if recovered_at is None or ramp <= 0:
        return 1.0
    progress = min(1.0, max(0.0, (now - recovered_at) / ramp))
    return _FLOOR + (1.0 - _FLOOR) * progress
