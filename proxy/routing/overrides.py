"""What an operator changed by hand while it runs: an overlay over the configuration, in force until it is taken back.

The files stay the only truth: nothing here is written to them, and status shows both values. An overlay survives
reloads, because whoever took a provider out of traffic does not want it back for an edit elsewhere in the file.
"""

from dataclasses import replace

from proxy.config.snapshot import Policy, Provider, Route, Snapshot, StrategyName


class Overrides:
    """Who may be asked, and in which order, where that differs from the files."""

    __slots__ = ("enabled", "strategies")

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        """By provider."""
        self.strategies: dict[str, StrategyName] = {}
        """By route."""

    def allows(self, provider: Provider) -> bool:
        """Whether this provider may get traffic."""
        return self.enabled.get(provider.name, provider.enabled)

    def policy(self, route: Route, policy: Policy) -> Policy:
        """The route's policy as it is to be followed now."""
        name = self.strategies.get(route.name)
        return policy if name is None else replace(policy, strategy=name)

    def enable(self, provider: Provider, *, enabled: bool) -> None:
        """Let a provider be asked or not; what the files say anyway needs no overlay."""
        if enabled is provider.enabled:
            self.enabled.pop(provider.name, None)
        else:
            self.enabled[provider.name] = enabled

    def choose(self, route: Route, policy: Policy, name: StrategyName) -> None:
        """Give a route another strategy; the policy's own needs no overlay."""
        if name is policy.strategy:
            self.strategies.pop(route.name, None)
        else:
            self.strategies[route.name] = name

    def reset(self) -> None:
        """Go back to what the files say."""
        self.enabled.clear()
        self.strategies.clear()

    def adopt(self, snapshot: Snapshot) -> None:
        """Forget what a new generation no longer has, so that a name used again begins as its file says."""
        self.enabled = {name: value for name, value in self.enabled.items() if name in snapshot.providers}
        routes = {route.name for route in snapshot.routes}
        self.strategies = {name: value for name, value in self.strategies.items() if name in routes}
