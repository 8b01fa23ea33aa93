"""Repeats within one provider's turn, through aiohttp-retry.

The library drives the loop and the waits. What it cannot know is told by the turn: how an attempt ended, whether the
attempt cap, the retry budget and the deadline allow another, and how long to wait. An attempt that failed has already
released its connection when it raises, so nothing that is discarded stays open (the library would not close it).
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from aiohttp_retry import RetryClient, RetryOptionsBase

from proxy.transport.session import AttemptError, Upstream

if TYPE_CHECKING:
    import aiohttp

Send = Callable[[], Awaitable[Upstream]]


class RepeatError(AttemptError):
    """An attempt failed and the turn asks for another one on the same provider after `wait` seconds."""

    def __init__(self, error: AttemptError, wait: float) -> None:
        super().__init__(error.failure)
        self.wait = wait


class _TurnOptions(RetryOptionsBase):
    """Says yes to exactly what the turn raised as `RepeatError`; statuses are judged by the turn, not here."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts=attempts, exceptions={RepeatError}, retry_all_server_errors=False)
        self.wait = 0.0

    def get_timeout(self, attempt: int, response: "aiohttp.ClientResponse | None" = None) -> float:  # noqa: ARG002
        return self.wait


class _OneCall:
    """The `request` method that `RetryClient` calls; the wire request is the turn's own business.

    Its first call has been made already, and ended in `first`.
    """

    def __init__(self, send: Send, options: _TurnOptions, first: RepeatError) -> None:
        self._send = send
        self._options = options
        self._first: RepeatError | None = first

    async def request(self, _method: str, _url: str, **_ignored: Any) -> Upstream:  # noqa: ANN401
        try:
            if self._first is not None:
                first, self._first = self._first, None
                raise first
            return await self._send()
        except RepeatError as error:
            self._options.wait = error.wait
            raise


async def send_with_repeats(send: Send, *, repeats: int) -> Upstream:
    """Call `send` until it returns, at most `1 + repeats` times; raises the last AttemptError.

    `send` makes one physical call. It raises `RepeatError` when another may follow and a plain `AttemptError` when not.
    The library is called in when there is something to repeat: most calls are good, and need none of it.
    """
    try:
        return await send()
    except RepeatError as error:
        if not repeats:
            raise
        first = error
    options = _TurnOptions(attempts=1 + repeats)
    client = RetryClient(cast("aiohttp.ClientSession", _OneCall(send, options, first)), retry_options=options)
    return cast("Upstream", await client.request("POST", "turn"))
