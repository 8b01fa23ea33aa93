"""All workers: begun together, asked together, each replaced when it ends, drained together."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.clock import Clock
from proxy.config.load import Texts
from proxy.config.snapshot import Address, Backoff
from proxy.errors import SidestepError
from proxy.resilience.backoff import backoff
from proxy.routing.overrides import Overrides
from proxy.server.listening import ListenError
from proxy.workers.channel import ChannelClosedError, Hear
from proxy.workers.hiring import Hired, hire
from proxy.workers.member import GONE, Member, join

PAUSE = Backoff(base=0.1, max=30.0, jitter="none")
"""Before a worker is replaced; doubles while none lives for `STEADY`."""
STEADY = 30.0
"""Seconds after which a worker's end has nothing to do with the one before."""
QUICK = 5.0
"""Seconds for an answer that takes no waiting; less than whoever scrapes the metrics waits."""
PING_EVERY = 5.0
PING_PATIENCE = 30.0
"""Seconds without a sign of life after which a worker is taken for hanging and is ended."""

logger = logging.getLogger("sidestep.workers")


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How workers write their lines."""

    format: str
    level: str


@dataclass(slots=True)
class Crew:
    """The workers, by number, counted from 0."""

    size: int
    lines: LineStyle
    clock: Clock
    hear: Hear
    """Told the news of every worker."""
    hire: Callable[[], Hired] = hire
    """Starts a process in place of one that ended."""
    texts: Texts = field(default_factory=dict)
    """The files in force: what a new worker begins with, however the files on the disk are by then."""
    overrides: Overrides = field(default_factory=Overrides)
    """What the operator changed by hand, for new workers."""
    listening: bool = False
    """Whether somebody wants the workers' news."""
    members: dict[int, Member] = field(default_factory=dict)
    """Those that live."""
    restarts: int = 0
    """Workers that ended unasked so far."""
    _address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    _following: "asyncio.Task[None] | None" = None
    _keeping: list["asyncio.Task[None]"] = field(default_factory=list)

    async def start(self, hired: Sequence[Hired], address: Address) -> None:
        """Begin all of them at an address whose port is known. Raises ListenError, SidestepError."""
        self._address = address
        for number, each in enumerate(hired):
            self.members[number] = await join(number, each, self.hear)
        await asyncio.gather(*(self._set_up(member) for member in self.members.values()))
        self._keeping = [asyncio.create_task(self._keep(number)) for number in range(self.size)]

    @property
    def ready(self) -> bool:
        """Whether every worker takes requests."""
        return sum(member.ready for member in self.members.values()) == self.size

    async def ask(self, question: str, /, *, patience: float = QUICK, **details: Any) -> dict[Member, Any]:  # noqa: ANN401  any JSON
        """Ask every worker that serves, and wait for all; those that are gone or do not answer are left out.

        Raises SidestepError when one refuses, and 503 when there is none to ask.
        """
        members = [member for member in self.members.values() if member.hears]
        found = await asyncio.gather(
            *(member.ask(question, patience, **details) for member in members), return_exceptions=True
        )
        answers: dict[Member, Any] = {}
        for member, answer in zip(members, found, strict=True):
            if isinstance(answer, GONE):
                continue
            if isinstance(answer, BaseException):
                raise answer
            answers[member] = answer
        if not answers:
            message = "no worker can answer now; they are being replaced"
            raise SidestepError(message, status=503, code="no_worker", retry_after=1.0)
        return answers

    @property
    def living(self) -> set[int]:
        """The numbers of the processes that run."""
        return {member.pid for member in self.members.values() if member.living}

    def adopt(self, texts: Texts) -> None:
        """Let every worker follow other files, from now on; `settled` waits until they do."""
        self.texts = texts
        self._following = asyncio.create_task(self._follow(texts))

    async def settled(self) -> None:
        """Wait until every worker follows the newest files, or has said why it cannot."""
        if self._following is not None:
            await asyncio.shield(self._following)

    async def _follow(self, texts: Texts) -> None:
        """One that cannot stays as it was; `/admin/status` reports it as stale."""
        told = _plain(texts)
        members = [member for member in self.members.values() if member.hears]
        found = await asyncio.gather(*(member.ask("adopt", texts=told) for member in members), return_exceptions=True)
        for member, answer in zip(members, found, strict=True):
            if isinstance(answer, SidestepError):
                logger.error("a worker refused the configuration", extra={"pid": member.pid, "reason": str(answer)})

    def listen(self, *, wanted: bool) -> None:
        """Begin or end to be told the workers' news."""
        self.listening = wanted
        for member in self.members.values():
            if member.hears:
                member.order("listen", wanted=wanted)

    async def drain(self) -> None:
        """Let every worker finish what it has begun, and wait for all of them to end."""
        self._release()
        for member in self.members.values():
            member.order("drain")
        await asyncio.gather(*(member.ended() for member in self.members.values()))

    async def close(self, within: float) -> None:
        """End all of them within so many seconds."""
        self._release()
        for member in self.members.values():
            member.order("end")
        ending = [asyncio.ensure_future(member.ended()) for member in self.members.values()]
        if not ending:
            return
        await asyncio.wait(ending, timeout=within)
        for member in self.members.values():
            member.kill()
        await asyncio.gather(*ending)
        self.members.clear()

    def _release(self) -> None:
        """Replace nobody any more."""
        for task in self._keeping:
            task.cancel()

    async def _keep(self, number: int) -> None:
        """Watch over one place for ever: whoever ends there is replaced, after a pause if that goes on."""
        failures = 0
        while True:
            begun, member = self.clock.now(), self.members[number]
            status = await self._watched(member)
            self.restarts += 1
            failures = 0 if self.clock.now() - begun > STEADY else failures + 1
            pause = backoff(PAUSE, failures, 0.0)
            logger.warning(
                "a worker ended and is replaced",
                extra={"worker": number, "pid": member.pid, "status": status, "pause_seconds": pause},
            )
            await self.clock.sleep(pause)
            try:
                self.members[number] = member = await join(number, self.hire(), self.hear)
                await self._set_up(member)
            except (OSError, ChannelClosedError, ListenError, SidestepError) as error:
                # Without the traceback: the reason says it all. The loop comes back to it after a longer pause.
                reason = str(error) or type(error).__name__
                logger.error("a worker could not begin", extra={"worker": number, "reason": reason})  # noqa: TRY400
                member.kill()

    async def _watched(self, member: Member) -> int:
        """Wait for a worker's end, and bring it about when it hangs. Returns its exit status."""
        pinging = asyncio.create_task(self._ping(member))
        try:
            return await member.ended()
        finally:
            pinging.cancel()

    async def _ping(self, member: Member) -> None:
        try:
            while True:
                await self.clock.sleep(PING_EVERY)
                await member.ask("ping", PING_PATIENCE)
        except TimeoutError:
            logger.error("a worker hangs and is ended", extra={"pid": member.pid})  # noqa: TRY400
            member.kill()
        except ChannelClosedError:
            return  # it has ended by itself

    async def _set_up(self, member: Member) -> None:
        """Give a new worker all that the others have, and let it listen. Raises what `ask` raises, and ListenError."""
        texts = self.texts
        await member.ask(
            "begin",
            worker=member.number,
            workers=self.size,
            texts=_plain(texts),
            log_format=self.lines.format,
            log_level=self.lines.level,
        )
        member.hears = True
        # No await between this and the next question: whatever changes from here on reaches it afterwards, in order.
        held = {"enabled": self.overrides.enabled, "strategies": self.overrides.strategies}
        try:
            await member.ask("serve", host=self._address.host, port=self._address.port, overrides=held)
        except SidestepError as error:
            raise ListenError(error.message) from error
        if texts is not self.texts:
            await member.ask("adopt", texts=_plain(self.texts))
        if self.listening:
            member.order("listen", wanted=True)
        member.ready = True


def _plain(texts: Texts) -> Mapping[str, str]:
    """As JSON has it; files that were found good are UTF-8."""
    return {str(file): data.decode() for file, data in texts.items()}
