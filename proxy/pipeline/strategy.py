"""Whose turn it is: out of the route's providers, those that may be asked now, in the policy's order."""

from collections.abc import Mapping, Sequence

from proxy.clock import Clock
from proxy.config.snapshot import Provider, StrategyName
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call, Turn
from proxy.pipeline.seat import Seat, Seating
from proxy.pipeline.stage import Handler, Turning
from proxy.record import Attribute
from proxy.registry import ProviderState, Registry
from proxy.resilience.breaker import State
from proxy.resilience.outcome import Elsewhere
from proxy.resilience.ramp import share
from proxy.resilience.window import Performance
from proxy.routing.candidates import Candidate, Excluded, Exclusion, serves, soonest
from proxy.routing.strategies import order

LAST_CHANCE_EVERY = 1.0
"""Seconds between requests that are let through although every candidate is open."""

BUSY_FOR = 1.0
"""Seconds after which a place at a busy provider is worth another try: about one answer."""

_PATIENCE = frozenset({Exclusion.COOLING_DOWN, Exclusion.RATE_LIMITED, Exclusion.BUSY})


class NobodyLeft(Exception):  # noqa: N818  an answer to "who is next", not an error
    """No provider may be asked (any more); `call.excluded` says why."""


def strategy(seating: Seating, registry: Registry, clock: Clock) -> Turning:
    """Choose the provider of this turn. Raises NobodyLeft. From the choice to the permit only a place is waited for."""

    async def run(call: Call, following: Handler[Reply | Failure]) -> Reply | Failure:
        now = clock.now()
        row = seating.row(call.route, call.request.capability)
        choice = _Choice()
        for seat in row:
            choice.consider(call, seat, now, allowed=registry.overrides.allows(seat.provider))
        candidates = choice.candidates or _unhealthy(call, choice, row, now)
        call.excluded = tuple(choice.excluded)
        # A hedge is there to save time: it waits for nobody.
        busy = None if candidates or call.racing else _queue(call, row)
        chosen, last_chance = (busy, False) if busy else _choose(call, candidates, now, clock)
        seat = next(seat for seat in row if seat.provider.name == chosen)
        call.turn = Turn(
            seat=seat,
            provider=seat.provider,
            state=seat.state,
            model=_model(call, seat.provider),
            alternatives=max(0, len(candidates) - 1),
            last_chance=last_chance,
        )
        if call.step:
            call.step.attributes = _told(call, chosen, len(candidates))
        return await following(call)

    return Turning("strategy", run)


class _Choice:
    """Who can have the turn, and who cannot."""

    __slots__ = ("candidates", "excluded")

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.excluded: list[Excluded] = []

    def consider(self, call: Call, seat: Seat, now: float, *, allowed: bool) -> None:
        """Put a provider on one side or the other."""
        provider, state = seat.provider, seat.state
        model = provider.upstream_model(call.model, call.request.capability)
        if not allowed:
            obstacle: Excluded | None = Excluded(provider.name, Exclusion.DISABLED, None)
        else:  # the most lasting reason first
            obstacle = _unfit(call, provider, state, model, now) or _out_of_reach(call, seat, now)
        if obstacle is None:
            self.candidates.append(_candidate(call, provider, state, model or "", now))
        else:
            self.excluded.append(obstacle)


def _unhealthy(call: Call, choice: _Choice, row: Sequence[Seat], now: float) -> list[Candidate]:
    """Whom to ask when there is nobody better left: checks are hearsay, what happens to a request is what counts."""
    avoided = {one.name for one in choice.excluded if one.reason is Exclusion.UNHEALTHY}
    choice.excluded = [one for one in choice.excluded if one.name not in avoided]
    return [
        _candidate(call, seat.provider, seat.state, _model(call, seat.provider), now)
        for seat in row
        if seat.provider.name in avoided
    ]


def _model(call: Call, provider: Provider) -> str:
    return provider.upstream_model(call.model, call.request.capability) or ""


def _told(call: Call, chosen: str, candidates: int) -> Mapping[str, Attribute]:
    """What the span of this stage says."""
    told: dict[str, Attribute] = {
        "sidestep.strategy": call.policy.strategy.value,
        "sidestep.provider": chosen,
        "sidestep.candidates": candidates,
    }
    if call.excluded:
        told["sidestep.excluded"] = ",".join(f"{one.name}:{one.reason}" for one in call.excluded)
    return told


def _choose(call: Call, candidates: list[Candidate], now: float, clock: Clock) -> tuple[str, bool]:
    if candidates:
        preferred = None if call.tried else call.request.preferred
        ranked = order(call.policy.strategy, candidates, call.route_state.rotation, clock.draw, preferred=preferred)
        return ranked[0].name, False
    opened = [one for one in call.excluded if one.reason is Exclusion.OPEN]
    rescue = soonest(opened)
    due = now - call.route_state.last_chance_at >= LAST_CHANCE_EVERY
    if rescue is None or not due or call.tried or _anyone_else_waits(call.excluded):
        raise NobodyLeft
    call.route_state.last_chance_at = now
    call.note("last_chance", now, {"sidestep.provider": rescue.name})
    return rescue.name, True


def _anyone_else_waits(excluded: tuple[Excluded, ...]) -> bool:
    """Whether a healthy provider merely asked for patience: then there is no reason to press an open one."""
    return any(one.reason in _PATIENCE for one in excluded)


def _queue(call: Call, row: Sequence[Seat]) -> str | None:
    """Whom to wait for when nobody can answer at once: the first provider of the route whose queue has room."""
    busy = {one.name for one in call.excluded if one.reason is Exclusion.BUSY}
    for seat in row:
        name, settings = seat.provider.name, seat.provider.concurrency
        if name in busy and name not in call.tried and settings is not None and seat.state.places.room(settings):
            return name
    return None


def _unfit(call: Call, provider: Provider, state: ProviderState, model: str | None, now: float) -> Excluded | None:
    """What keeps it from this request however long one waits."""
    reason = None
    if not provider.configured:
        reason = Exclusion.UNCONFIGURED
    elif model is None or not serves(provider, call.request) or state.lacks(model, now):
        reason = Exclusion.UNSUPPORTED
    elif call.tried and (reason := _spent(call, provider)) is not None:
        pass
    elif call.record.attempts and call.deadline - now < state.useful_time(model, now):
        reason = Exclusion.TOO_LATE
    return None if reason is None else Excluded(provider.name, reason, None)


def _spent(call: Call, provider: Provider) -> Exclusion | None:
    """What earlier turns of this request say against it."""
    tried = call.tried.get(provider.name)
    if tried is not None and tried.error_class is not ErrorClass.SHED:
        return Exclusion.TRIED
    return Exclusion.SMALLER_WINDOW if _window_too_small(call, provider) else None


def _out_of_reach(call: Call, seat: Seat, now: float) -> Excluded | None:
    """What keeps it from any request for a while."""
    state, name = seat.state, seat.provider.name
    gate = state.breaker
    if not gate.available(now, seat.breaker):
        until = gate.opens_until if gate.state(now) is State.OPEN else None
        return Excluded(name, Exclusion.OPEN, max(0.0, until - now) if until is not None else 1.0)
    if (remaining := state.cool_down.remaining(now)) > 0:
        return Excluded(name, Exclusion.COOLING_DOWN, remaining)
    if seat.rate is not None and (wait := seat.limiter.ready_in(now, seat.rate)) > 0:
        return Excluded(name, Exclusion.RATE_LIMITED, wait)
    if seat.provider.concurrency is not None and not state.places.free(seat.provider.concurrency):
        return Excluded(name, Exclusion.BUSY, BUSY_FOR)
    if call.tried and name in call.tried:
        return Excluded(name, Exclusion.TRIED, None)
    if state.health.avoided and seat.provider.health.interval:
        return Excluded(name, Exclusion.UNHEALTHY, state.health.next_check_in(now))
    return None


def _window_too_small(call: Call, provider: Provider) -> bool:
    """After a prompt did not fit one provider, only a declared larger window is worth a call."""
    for name, failure in call.tried.items():
        if failure.error_class is not ErrorClass.CONTEXT_LENGTH:
            continue
        if call.table[ErrorClass.CONTEXT_LENGTH].other_provider is not Elsewhere.LARGER_WINDOW:
            continue
        refused = call.windows.get(name)
        if refused is None or provider.context_window is None or provider.context_window <= refused:
            return True
    return False


_MEASURING = frozenset({StrategyName.WEIGHTED_ROUND_ROBIN, StrategyName.BEST_PERFORMANCE})
"""Strategies that look at a provider's past; the others do not pay for it."""
_UNSEEN = Performance()


def _candidate(call: Call, provider: Provider, state: ProviderState, model: str, now: float) -> Candidate:
    seen = _UNSEEN
    if call.policy.strategy in _MEASURING:
        seen = state.performance(model, now)
    return Candidate(
        name=provider.name,
        priority=provider.priority,
        weight=provider.weight,
        share=share(now, state.recovered_at, call.policy.recovery.ramp),
        requests=seen.requests,
        success_rate=seen.success_rate,
        latency=seen.first_output_p50 if seen.first_output_p50 is not None else seen.average_response_time,
    )
