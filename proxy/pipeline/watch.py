"""The clocks of one committed stream: first output, idle, total, in a single timer."""

import asyncio

from proxy.errors import ErrorClass, Failure
from proxy.pipeline.settlement import Settlement
from proxy.transport.alarm import Alarm
from proxy.transport.session import Upstream


class Watch:
    """Ends a stream that shows no output in time, or that outlives the request's deadline.

    Progress only moves a number, which the alarm comes to know when it strikes. Expiry closes the upstream, which
    wakes the read. Comments and pings are bytes but not progress. While nobody reads (the client takes its time) only
    the deadline runs on: a provider is not blamed for a silence that nobody listens to.
    """

    __slots__ = (
        "_alarm",
        "_clock",
        "_idle",
        "_left",
        "_limit",
        "_reading",
        "_settlement",
        "_upstream",
        "blames_provider",
        "verdict",
    )

    def __init__(self, settlement: Settlement, upstream: Upstream) -> None:
        self._settlement = settlement
        self._upstream = upstream
        self._clock = settlement.clock
        self._idle = settlement.call.policy.timeouts.idle
        self._limit = settlement.first_output_by()
        """When output must have been seen, while somebody reads."""
        self._left = self._limit - self._clock.now()
        """Seconds that are left until then, while nobody reads."""
        self._reading = False
        self.verdict: Failure | None = None
        """Why it ended the stream."""
        self.blames_provider = True
        """Whether that is the provider's doing, and not the deadline's."""
        self._alarm = Alarm(asyncio.get_running_loop(), self._look)
        self._alarm.set(min(self._limit, settlement.call.deadline))

    def resume(self) -> None:
        """Somebody reads: the provider has the time left that it had when nobody did any more."""
        limit = self._limit = self._clock.now() + self._left
        self._reading = True
        if limit < self._alarm.due:
            self._alarm.set(limit)

    def pause(self, *, output: bool) -> None:
        """A read is over, and nobody reads until `resume`; `output`: real output was seen."""
        now = self._clock.now()
        self._reading = False
        self._left = self._idle if output else self._limit - now
        if output and self._settlement.attempt.first_output_at is None:
            self._settlement.spoke(now)

    def progress(self) -> None:
        """Real output was seen in the midst of a read that goes on."""
        now = self._clock.now()
        self._limit = now + self._idle
        if self._settlement.attempt.first_output_at is None:
            self._settlement.spoke(now)

    def stop(self) -> None:
        """No clock runs any more."""
        self._alarm.stop()

    def _look(self) -> None:
        now, deadline = self._clock.now(), self._settlement.call.deadline
        due = min(self._limit, deadline) if self._reading else deadline
        if now < due:
            self._alarm.set(due)
            return
        self.blames_provider = now < deadline  # a stream that is long, but alive to its deadline, did nothing wrong
        self.verdict = Failure(error_class=ErrorClass.TIMEOUT, message=self._reason(now, deadline))
        self._upstream.close()

    def _reason(self, now: float, deadline: float) -> str:
        if now >= deadline:
            return "the request's total deadline passed in the middle of the stream"
        if self._settlement.attempt.first_output_at is None:
            return "the stream opened but showed no output in time"
        return f"the stream showed no output for {self._idle:g} s"
