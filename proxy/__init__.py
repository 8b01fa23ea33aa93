"""sidestep: a sidecar reverse proxy for AI providers.

One request, from socket to socket:

    server.connection one exchange after the other on a client's socket, as server.incoming reads them
    server.data       reads the body, makes a Request of it (server.request) and begins its Record
    engine            takes the current generation once, finds the route (routing.match), starts its policy's chain
    pipeline.build    the chain and the reasons for its order: deadline, admission, cache, degrade, failover
    pipeline.failover one turn per provider: strategy, hedge, concurrency, rate_limit, breaker, attempt
    pipeline.attempt  the dialect writes the call, transport sends it, the dialect judges what comes back
    pipeline.stream   a committed stream on its way, watched to its end
    settlement        breaker, window, cool-downs follow from the outcome's class, exactly once
    server.data       writes the answer; telemetry and statistics are made from the finished Record

Layers, importing downwards only (a test reads the imports):

    5  shells       server  manager  workers  cli  demo  reload  prober  sensor  cgroup  status
    4  engine       statistics
    3  pipeline     telemetry  transport
    2  registry
    1  decisions    routing  resilience  dialects  config
    0  words        errors  messages  record  clock  envelope, and outbox, through which both ends write

Words: a *route* matches requests and names *providers* and a *policy*; a provider speaks a *dialect*; those that may be
asked now are *candidates*; an *attempt* is one upstream call and ends in one *error class* or none; a *permit* is the
breaker's leave to make it; a *generation* is one configuration in force.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.manager.backend import ManagementError
    from proxy.manager.manager import AIProviderManager, FailoverStrategy

__all__ = ["AIProviderManager", "FailoverStrategy", "ManagementError"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Import the library when it is asked for: the commands do without it, and every module imports this one."""
    if name in __all__:
        return getattr(import_module("proxy.manager.manager"), name)
    raise AttributeError(f"module 'proxy' has no attribute {name!r}")
