"""sidestep: a sidecar reverse proxy for AI providers.

Layers, importing downwards only (a test reads the imports):

    5  shells       server  manager  workers  cli  demo  reload  prober  status
    4  engine       statistics
    3  pipeline     telemetry  transport
    2  registry
    1  decisions    routing  resilience  dialects  config
    0  words        errors  messages  record  clock
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
