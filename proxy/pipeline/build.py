"""The order of the stages, and why. It is a semantic, not a setting.

    deadline( admission( cache( degrade( failover( strategy( hedge( concurrency( rate_limit( breaker( attempt ))))))))))

* deadline outermost: nothing inside, no wait and no degradation, may outlive it.
* admission before any work is done for the request.
* cache behind admission: an answer from memory must be let in and be in time like any other, and a request that waits
  for an identical one counts in flight. Around degrade: what stands in for an answer is never kept, and degrade's
  `stale_cache` reads what was. Only policies with `cache` have it.
* degrade around failover: it answers only when every provider has failed.
* failover gives one turn per provider; strategy and all behind it are asked anew for every turn.
* strategy before the three that follow: they are a provider's, so there must be one. It leaves out candidates that
  they would refuse.
* hedge within a turn, so that failover sees one turn with one result: behind strategy, since how long to wait depends
  on the provider, and before the three that follow, all of which the second provider passes in a turn of its own.
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
from proxy.pipeline.cache import cache
from proxy.pipeline.concurrency import concurrency
from proxy.pipeline.deadline import deadline
from proxy.pipeline.degrade import degrade
from proxy.pipeline.failover import failover
from proxy.pipeline.hedge import hedge
from proxy.pipeline.rate_limit import rate_limit
from proxy.pipeline.seat import Seating
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
    choose = strategy(Seating(snapshot.providers, policy, registry), registry, clock)
    gates: list[Turning] = [rate_limit(clock), breaker(clock)]
    if any(provider.concurrency for provider in snapshot.providers.values()):
        gates.insert(0, concurrency(clock))
    turn = compose([choose, *gates], innermost, clock)
    if policy.hedge:
        turn = compose([choose, hedge(turn, clock), *gates], innermost, clock)
    stages: list[Answering] = [deadline(), admission(registry, snapshot.server.limits)]
    if policy.cache:
        stages.append(cache(policy.cache, clock))
    if policy.degrade:
        stages.append(degrade({route.name: route for route in snapshot.routes}, clock))
    return compose(stages, failover(turn, clock), clock)
