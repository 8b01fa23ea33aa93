"""How long to wait before the same provider is asked again."""

from proxy.config.snapshot import Backoff

_MOST_DOUBLINGS = 62
"""More would overflow a float long after `max` has decided."""


def backoff(settings: Backoff, repeat: int, draw: float) -> float:
    """Return seconds to wait before repeat number `repeat`, counted from 0: `min(max, base * 2**repeat)`.

    With full jitter the wait is uniform between 0 and that bound (`draw` is from [0, 1)), which spreads a crowd better
    than any jitter around the bound (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    bound = min(settings.max, settings.base * 2.0 ** min(repeat, _MOST_DOUBLINGS))
    return bound * draw if settings.jitter == "full" else bound
