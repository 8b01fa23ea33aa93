"""Whose turn it is: out of the route's providers, those that may be asked now, in the policy's order."""

from collections.abc import Mapping

from proxy.clock import Clock
from proxy.config.snapshot import Provider, StrategyName
from proxy.errors import ErrorClass, Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call, Turn
from proxy.pipeline.stage import Handler, Turning
from proxy.record import Attribute
from proxy.registry import ProviderState, Registry, breaker_settings
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


def strategy(providers: Mapping[str, Provider], registry: Registry, clock: Clock) -> Turning:
    """Choose the provider of this turn. Raises NobodyLeft. From the choice to the permit only a place is waited for."""

    async def run(call: Call, following: Handler[Reply | Failure]) -> Reply | Failure:
        now = clock.now()
        candidates: list[Candidate] = []
        excluded: list[Excluded] = []
        states: dict[str, ProviderState] = {}
        for name in call.route.providers:
            provider = providers[name]
            state = states[name] = registry.provider(provider, call.request.capability)
            allowed = registry.overrides.allows(provider)
            obstacle = _obstacle(call, provider, state, now) if allowed else Excluded(name, Exclusion.DISABLED, None)
            if obstacle is None:
                candidates.append(_candidate(call, provider, state, now))
            else:
                excluded.append(obstacle)
        if not candidates and (avoided := [one for one in excluded if one.reason is Exclusion.UNHEALTHY]):
            # Checks are hearsay. With nobody better left, what happens to a request is what counts.
            excluded = [one for one in excluded if one not in avoided]
            candidates += [_candidate(call, providers[one.name], states[one.name], now) for one in avoided]
        call.excluded = tuple(excluded)
        # A hedge is there to save time: it waits for nobody.
        busy = None if candidates or call.racing else _queue(call, providers, states)
        chosen, last_chance = (busy, False) if busy else _choose(call, candidates, now, clock)
        provider = providers[chosen]
        call.turn = Turn(
            provider=provider,
            state=states[chosen],
            model=provider.upstream_model(call.model, call.request.capability) or "",
            alternatives=max(0, len(candidates) - 1),
            last_chance=last_chance,
        )
        if call.step:
            call.step.attributes = _told(call, chosen, len(candidates))
        return await following(call)

    return Turning("strategy", run)


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


def _queue(call: Call, providers: Mapping[str, Provider], states: Mapping[str, ProviderState]) -> str | None:
    """Whom to wait for when nobody can answer at once: the first provider of the route whose queue has room."""
    for one in call.excluded:
        settings = providers[one.name].concurrency
        if one.reason is not Exclusion.BUSY or settings is None or one.name in call.tried:
            continue
        if states[one.name].places.room(settings):
            return one.name
    return None


def _obstacle(call: Call, provider: Provider, state: ProviderState, now: float) -> Excluded | None:
    """Why this provider, although enabled, cannot have the turn, the most lasting reason first."""
    return _unfit(call, provider, state, now) or _out_of_reach(call, provider, state, now)


def _unfit(call: Call, provider: Provider, state: ProviderState, now: float) -> Excluded | None:
    """What keeps it from this request however long one waits."""
    reason = None
    model = provider.upstream_model(call.model, call.request.capability)
    if not provider.configured:
        reason = Exclusion.UNCONFIGURED
    elif model is None or not serves(provider, call.request) or state.lacks(model, now):
        reason = Exclusion.UNSUPPORTED
    elif (tried := call.tried.get(provider.name)) is not None and tried.error_class is not ErrorClass.SHED:
        reason = Exclusion.TRIED
    elif _window_too_small(call, provider):
        reason = Exclusion.SMALLER_WINDOW
    elif call.record.attempts and call.deadline - now < state.useful_time(model, now):
        reason = Exclusion.TOO_LATE
    return None if reason is None else Excluded(provider.name, reason, None)


def _out_of_reach(call: Call, provider: Provider, state: ProviderState, now: float) -> Excluded | None:
    """What keeps it from any request for a while."""
    name = provider.name
    gate = state.breaker
    if not gate.available(now, breaker_settings(provider, call.policy.breaker)):
        until = gate.opens_until if gate.state(now) is State.OPEN else None
        return Excluded(name, Exclusion.OPEN, max(0.0, until - now) if until is not None else 1.0)
    if (remaining := state.cool_down.remaining(now)) > 0:
        return Excluded(name, Exclusion.COOLING_DOWN, remaining)
    if (limit := _limit(call, provider, state, now)) is not None:
        return limit
    if name in call.tried:
        return Excluded(name, Exclusion.TRIED, None)
    if state.health.avoided and provider.health.interval:
        return Excluded(name, Exclusion.UNHEALTHY, state.health.next_check_in(now))
    return None


def _limit(call: Call, provider: Provider, state: ProviderState, now: float) -> Excluded | None:
    """Which limit of ours keeps it from the turn."""
    rate = provider.rate_limit.get(call.request.capability)
    if rate is not None and (wait := state.limiter(call.request.capability).ready_in(now, rate)) > 0:
        return Excluded(provider.name, Exclusion.RATE_LIMITED, wait)
    if provider.concurrency is not None and not state.places.free(provider.concurrency):
        return Excluded(provider.name, Exclusion.BUSY, BUSY_FOR)
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


def _candidate(call: Call, provider: Provider, state: ProviderState, now: float) -> Candidate:
    seen = _UNSEEN
    if call.policy.strategy in _MEASURING:
        seen = state.performance(provider.upstream_model(call.model, call.request.capability) or "", now)
    return Candidate(
        name=provider.name,
        priority=provider.priority,
        weight=provider.weight,
        share=share(now, state.recovered_at, call.policy.recovery.ramp),
        requests=seen.requests,
        success_rate=seen.success_rate,
        latency=seen.first_output_p50 if seen.first_output_p50 is not None else seen.average_response_time,
    )
