"""How many calls a provider gets at the same time, and who waits for the next free place, in what order.

A place is taken at once or waited for in a bounded queue, first come, first served; a newcomer never overtakes the
queue. The settings are an argument, so that a reload may change them while places are held.
"""

from collections import deque
from collections.abc import Callable

from proxy.config.snapshot import Concurrency


class Waiter:
    """One call in the queue. `wake` is called once, when the place is its own."""

    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


class Places:
    """The places at one provider."""

    __slots__ = ("_queue", "held")

    def __init__(self) -> None:
        self.held = 0
        """Places taken."""
        self._queue: deque[Waiter] = deque()

    @property
    def waiting(self) -> int:
        """How many calls stand in the queue."""
        return len(self._queue)

    def free(self, settings: Concurrency) -> bool:
        """Say whether a `take` would succeed."""
        return self.held < settings.max and not self._queue

    def room(self, settings: Concurrency) -> bool:
        """Say whether a `join` would succeed."""
        return len(self._queue) < settings.queue

    def take(self, settings: Concurrency) -> bool:
        """Take a place, if one is free now. Who got one gives it back."""
        if not self.free(settings):
            return False
        self.held += 1
        return True

    def join(self, wake: Callable[[], object], settings: Concurrency) -> Waiter | None:
        """Stand in the queue, or None when it is full. Whoever stands there calls `leave` or is granted a place."""
        if not self.room(settings):
            return None
        waiter = Waiter(wake)
        self._queue.append(waiter)
        return waiter

    def leave(self, waiter: Waiter, settings: Concurrency) -> None:
        """Wait no longer; a place that was granted in the same moment goes to the next in the queue."""
        if waiter.granted:
            self.give_back(settings)
        else:
            self._queue.remove(waiter)

    def give_back(self, settings: Concurrency) -> None:
        """Free a place and hand out what is free (after a reload it may be more than one)."""
        self.held -= 1
        while self._queue and self.held < settings.max:
            waiter = self._queue.popleft()
            waiter.granted = True
            self.held += 1
            waiter.wake()
