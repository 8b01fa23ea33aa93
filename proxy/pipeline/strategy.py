"""Whose turn it is: out of the route's providers, those that may be asked now, in the policy's order."""

from collections.abc import Awaitable, Mapping

from proxy.clock import Clock
from proxy.config.provider import renamed
from proxy.config.snapshot import Provider, StrategyName
from proxy.errors import ErrorClass, Failure
from proxy.messages import CAPABILITIES, Reply
from proxy.pipeline.call import Call, Turn
from proxy.pipeline.seat import Seat, Seating
from proxy.pipeline.stage import Handler, Turning
from proxy.record import Attribute
from proxy.registry import Registry
from proxy.resilience.breaker import State
from proxy.resilience.outcome import Elsewhere
from proxy.resilience.ramp import share
from proxy.resilience.window import Performance
from proxy.routing.candidates import Candidate, Excluded, Exclusion, soonest
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

    def run(call: Call, following: Handler[Reply | Failure]) -> Awaitable[Reply | Failure]:
        now = clock.now()
        seats = seating.row(call.route, CAPABILITIES[call.request.operation])
        allows = registry.overrides.allows
        measuring = call.policy.strategy in _MEASURING
        candidates: list[Candidate] = []
        excluded: list[Excluded] = []
        for seat in seats.values():
            if not allows(seat.provider):
                excluded.append(Excluded(seat.provider.name, Exclusion.DISABLED, None))
            elif obstacle := _unfit(call, seat, now) or _out_of_reach(call, seat, now):
                excluded.append(obstacle)
            elif measuring or seat.state.recovered_at() is not None:
                candidates.append(_candidate(call, seat, now))
            else:
                candidates.append(seat.candidate)
        if not candidates and (avoided := [one for one in excluded if one.reason is Exclusion.UNHEALTHY]):
            # Checks are hearsay. With nobody better left, what happens to a request is what counts.
            excluded = [one for one in excluded if one not in avoided]
            candidates = [_candidate(call, seats[one.name], now) for one in avoided]
        call.excluded = tuple(excluded)
        # A hedge is there to save time: it waits for nobody.
        busy = None if candidates or call.racing else _queue(call, seats)
        chosen, last_chance = (busy, False) if busy else _choose(call, candidates, now, clock)
        seat = seats[chosen]
        call.turn = Turn(
            seat=seat,
            provider=seat.provider,
            state=seat.state,
            model=renamed(seat.names, call.model) or "",
            alternatives=len(candidates) - 1 if candidates else 0,
            last_chance=last_chance,
        )
        if call.step:
            call.step.attributes = _told(call, chosen, len(candidates))
        return following(call)

    return Turning("strategy", run)


def _told(call: Call, chosen: str, candidates: int) -> Mapping[str, Attribute]:
    """What the span of this stage says."""
    told: dict[str, Attribute] = {
        "sidestep.strategy": call.policy.strategy,
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


def _queue(call: Call, seats: Mapping[str, Seat]) -> str | None:
    """Whom to wait for when nobody can answer at once: the first provider of the route whose queue has room."""
    for one in call.excluded:
        seat = seats[one.name]
        settings = seat.provider.concurrency
        if one.reason is not Exclusion.BUSY or settings is None or one.name in call.tried:
            continue
        if seat.state.places.room(settings):
            return one.name
    return None


def _unfit(call: Call, seat: Seat, now: float) -> Excluded | None:
    """What keeps it from this request however long one waits, the most lasting reason first."""
    provider, state = seat.provider, seat.state
    model = renamed(seat.names, call.model)
    serves = seat.serves_tools if call.request.tools else seat.serves
    if not seat.configured:
        reason = Exclusion.UNCONFIGURED
    elif not serves or model is None or (state.unsupported and state.lacks(model, now)):
        reason = Exclusion.UNSUPPORTED
    elif call.tried and (spent := _spent(call, provider)) is not None:
        reason = spent
    elif call.record.attempts and call.deadline - now < state.useful_time(model, now):
        reason = Exclusion.TOO_LATE
    else:
        return None
    return Excluded(provider.name, reason, None)


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
    if state.cool_down.until > now:
        return Excluded(name, Exclusion.COOLING_DOWN, state.cool_down.until - now)
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


def _candidate(call: Call, seat: Seat, now: float) -> Candidate:
    """What it stands as, for a strategy that measures or while it recovers."""
    provider, state = seat.provider, seat.state
    model = renamed(seat.names, call.model) or ""
    seen = state.performance(model, now) if call.policy.strategy in _MEASURING else _UNSEEN
    return Candidate(
        provider.name,
        provider.priority,
        provider.weight,
        share(now, state.recovered_at(), call.policy.recovery.ramp),
        seen.requests,
        seen.success_rate,
        seen.first_output_p50 if seen.first_output_p50 is not None else seen.average_response_time,
    )
