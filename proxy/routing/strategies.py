"""In which order the candidates are asked: one small function per strategy.

Every strategy returns all candidates, each once: the first is asked, the rest are where to go when it fails. Chance
comes in as `draw`, a source of uniform numbers from [0, 1); memory between requests lives in the route's `Rotation`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import TypeVar

from proxy.config.snapshot import StrategyName
from proxy.routing.candidates import Candidate

Draw = Callable[[], float]

_REMEMBERED = 256
"""Names a rotation keeps; names come from the configuration, so only many reloads ever exceed it."""
_LEAST_SUCCESS = 0.1
"""A provider's weight never sinks below this share of itself, so that it can show that it has got better."""
_ENOUGH = 5
"""Attempts from which a measurement is believed."""
_MOSTLY_WORKS = 0.5
"""A success rate below this ranks a provider behind those that nothing is known about."""
_EXPLORE_UNKNOWN = 0.1
"""Share of requests that go to an unmeasured provider first, while there is one."""
_EXPLORE_KNOWN = 0.02
"""Share that goes to another than the best when all are measured, so that measurements stay fresh."""

_PRIORITY = attrgetter("priority")

Value = TypeVar("Value", int, float)


@dataclass(slots=True)
class Rotation:
    """What the rotating strategies of one route remember. Bounded: names no longer offered are forgotten in time."""

    turn: int = 0
    """Requests ordered by `round_robin` so far."""
    last_first: dict[str, int] = field(default_factory=dict)
    """Name -> the turn at which it last came first."""
    credit: dict[str, float] = field(default_factory=dict)
    """Name -> how much of a turn `weighted_round_robin` owes it; negative after it was first."""


def order(
    strategy: StrategyName,
    candidates: Sequence[Candidate],
    rotation: Rotation,
    draw: Draw,
    *,
    preferred: str | None = None,
) -> list[Candidate]:
    """Return the candidates in the order in which to ask them.

    A candidate that is recovering (`share` below 1) keeps a first place with the probability of its share only.
    `preferred`, the client's wish, comes first whenever it is a candidate at all.
    """
    ranked = _STRATEGIES[strategy](candidates, rotation, draw)
    # By weight, the share is part of the weight.
    if ranked and ranked[0].share < 1 and strategy is not StrategyName.WEIGHTED_ROUND_ROBIN:
        ranked = _eased_in(ranked, draw)
    return ranked if preferred is None else sorted(ranked, key=lambda each: each.name != preferred)


def _eased_in(ranked: list[Candidate], draw: Draw) -> list[Candidate]:
    """Send recovering candidates from the first place to the back, each as often as its share demands."""
    for _ in range(len(ranked) - 1):
        if ranked[0].share >= 1 or draw() < ranked[0].share:
            break
        ranked = ranked[1:] + ranked[:1]
    return ranked


def _primary_only(candidates: Sequence[Candidate], _rotation: Rotation, _draw: Draw) -> list[Candidate]:
    """By priority; equals stay in the route's order."""
    return sorted(candidates, key=_PRIORITY)


def _round_robin(candidates: Sequence[Candidate], rotation: Rotation, _draw: Draw) -> list[Candidate]:
    """Whoever has not been first for longest is first.

    This cycles as a counter would, but stays fair while candidates come and go: a counter modulo a changing length can
    pass one of them by for ever.
    """
    ranked = sorted(candidates, key=lambda each: rotation.last_first.get(each.name, -1))
    if ranked:
        rotation.last_first[ranked[0].name] = rotation.turn
        rotation.turn += 1
        _forget(rotation.last_first, candidates)
    return ranked


def _weighted_round_robin(candidates: Sequence[Candidate], rotation: Rotation, _draw: Draw) -> list[Candidate]:
    """Smooth weighted round robin, as in nginx: everyone earns its share of a turn, and whoever is owed most is first.

    Credit is counted in turns, not in weight, so that a weight that falls leaves no debt that takes ages to work off.
    """
    weights = _effective_weights(candidates)
    total = sum(weights.values())
    credit = rotation.credit
    for name, weight in weights.items():
        credit[name] = credit.get(name, 0.0) + weight / total
    ranked = sorted(candidates, key=lambda each: (weights[each.name] == 0, -credit[each.name]))
    if ranked:
        credit[ranked[0].name] -= 1.0
        _forget(credit, candidates)
    return ranked


def _effective_weights(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Weigh by configured weight, observed success and share; a weight of 0 is never first, unless all are 0."""
    heaviest = max((each.weight for each in candidates), default=0.0)
    return {
        each.name: (each.weight / heaviest if heaviest else 1.0)  # relative, so that no product vanishes
        * max(_LEAST_SUCCESS, _believed_success(each))
        * each.share
        for each in candidates
    }


def _believed_success(candidate: Candidate) -> float:
    if candidate.success_rate is None or candidate.requests < _ENOUGH:
        return 1.0
    return candidate.success_rate


def _best_performance(candidates: Sequence[Candidate], _rotation: Rotation, draw: Draw) -> list[Candidate]:
    """By the expected time to an answer; now and then another one first, to find out."""
    ranked = sorted(candidates, key=_expectation)
    unknown = [each for each in ranked[1:] if not _measured(each)]
    others = unknown or ranked[1:]
    if others and draw() < (_EXPLORE_UNKNOWN if unknown else _EXPLORE_KNOWN):
        explored = others[int(draw() * len(others))]
        ranked.remove(explored)
        ranked.insert(0, explored)
    return ranked


def _measured(candidate: Candidate) -> bool:
    return candidate.requests >= _ENOUGH and candidate.success_rate is not None


def _expectation(candidate: Candidate) -> tuple[int, float, int]:
    """Rank who works, by latency over success (the expected time when failures are repeated); the unknown; the rest."""
    if not _measured(candidate):
        return 1, 0.0, candidate.priority
    success = candidate.success_rate or 0.0
    tier = 0 if success >= _MOSTLY_WORKS else 2
    if not success or candidate.latency is None:
        return tier, float("inf"), candidate.priority
    return tier, candidate.latency / success, candidate.priority


def _random_available(candidates: Sequence[Candidate], _rotation: Rotation, draw: Draw) -> list[Candidate]:
    """Uniform over all orders (Fisher and Yates)."""
    ranked = list(candidates)
    for last in range(len(ranked) - 1, 0, -1):
        other = int(draw() * (last + 1))
        ranked[last], ranked[other] = ranked[other], ranked[last]
    return ranked


def _forget(memory: dict[str, Value], candidates: Sequence[Candidate]) -> None:
    if len(memory) > _REMEMBERED:
        offered = {each.name for each in candidates}
        for name in memory.keys() - offered:
            del memory[name]


_STRATEGIES: Mapping[StrategyName, Callable[[Sequence[Candidate], Rotation, Draw], list[Candidate]]] = MappingProxyType(
    {
        StrategyName.PRIMARY_ONLY: _primary_only,
        StrategyName.ROUND_ROBIN: _round_robin,
        StrategyName.WEIGHTED_ROUND_ROBIN: _weighted_round_robin,
        StrategyName.BEST_PERFORMANCE: _best_performance,
        StrategyName.RANDOM_AVAILABLE: _random_available,
    }
)
