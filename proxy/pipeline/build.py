"""The order of the stages, and why. It is a semantic, not a setting.

    deadline( admission( degrade( failover( strategy( concurrency( rate_limit( breaker( attempt ))))))))

* deadline outermost: nothing inside, no wait and no degradation, may outlive it.
* admission before any work is done for the request.
* degrade around failover: it answers only when every provider has failed.
* failover gives one turn per provider; strategy and all behind it are asked anew for every turn.
* strategy before the three that follow: they are a provider's, so there must be one. It leaves out candidates that
  they would refuse.
* concurrency before rate limit and breaker: it may wait for a place, and only what is decided after a wait holds. Where
  no provider has such a limit there is no such stage. From strategy to permit nothing else is awaited.
* rate limit before breaker: a half-open breaker's probe must not be wasted on a call that we ourselves would not make.
* attempt innermost: it repeats on the same provider within one turn, holds the permit, and settles it.
"""

from collections.abc import Mapping

from proxy.clock import Clock
from proxy.config.snapshot import Policy, Snapshot
from proxy.dialects.base import Dialect
from proxy.messages import Reply
from proxy.pipeline.admission import admission
from proxy.pipeline.attempt import attempt
from proxy.pipeline.breaker import breaker
from proxy.pipeline.concurrency import concurrency
from proxy.pipeline.deadline import deadline
from proxy.pipeline.degrade import degrade
from proxy.pipeline.failover import failover
from proxy.pipeline.rate_limit import rate_limit
from proxy.pipeline.stage import Answering, Handler, Turning, compose
from proxy.pipeline.strategy import strategy
from proxy.registry import Registry
from proxy.transport.session import Transport


def build(
    snapshot: Snapshot,
    policy: Policy,
    *,
    registry: Registry,
    transport: Transport,
    dialects: Mapping[str, Dialect],
    clock: Clock,
) -> Handler[Reply]:
    """Compose the chain of one policy in one generation."""
    secrets = tuple(provider.api_key for provider in snapshot.providers.values() if provider.api_key)
    secrets += snapshot.server.client_keys
    innermost = attempt(dialects, transport, clock, secrets, keep_text=snapshot.telemetry.content)
    turning: list[Turning] = [strategy(snapshot.providers, registry, clock)]
    if any(provider.concurrency for provider in snapshot.providers.values()):
        turning.append(concurrency(clock))
    turning += [rate_limit(clock), breaker(clock)]
    turn = compose(turning, innermost, clock)
    stages: list[Answering] = [deadline, admission(registry, snapshot.server.limits)]
    if policy.degrade:
        stages.append(degrade(clock))
    return compose(stages, failover(turn, clock), clock)
