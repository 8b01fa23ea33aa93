"""Spans on their way to a collector, which may be dead, slow or hanging: that costs spans and nothing else.

A kept record is written as spans, in the bytes that will be sent, and put into a bounded queue; the SDK's own daemon
thread batches and sends them. When the queue is full a whole trace is dropped and counted, and not even written.
`OTEL_*` variables of the exporter (headers, timeout, compression, certificates) and of the batching
(`OTEL_BSP_SCHEDULE_DELAY`) are the SDK's to read.

The spans are written here, on the event loop, and not on the SDK's thread: two threads of one interpreter compute in
turns, and a turn of the other one is felt by every request that waits for it. Bytes are also a small fraction of the
record that they are made from, which holds the request's body.
"""

import os
from typing import TYPE_CHECKING

from proxy.config.snapshot import Telemetry, Traces
from proxy.record import Record
from proxy.telemetry.propagation import Bits
from proxy.telemetry.sampling import keep
from proxy.telemetry.spans import SpanMaker

if TYPE_CHECKING:
    from proxy.telemetry.sender import Sender

QUEUE = 8 << 20
"""Bytes of spans that may wait for the collector: some 30,000 spans."""
CLOSE_TIMEOUT = 2.0
"""Seconds that the last spans get when the program ends."""


class Tracing:
    """Exports the traces that are kept. Without an endpoint it does nothing.

    It starts a thread, so with several worker processes each makes its own after the fork.
    """

    def __init__(
        self, settings: Telemetry, *, version: str, bits: Bits, instance_id: str = "", queue: int = QUEUE
    ) -> None:
        self.settings = settings
        self._sender: Sender | None = None
        self._maker = SpanMaker(bits=bits, content=settings.content)
        if enabled(settings.traces):
            # Imported here, because most users never turn it on, and it is a third of the program's start and memory.
            from proxy.telemetry import sender  # noqa: PLC0415

            self._sender = sender.Sender(settings, version, instance_id or f"{bits(128):032x}", queue)

    def finish(self, record: Record) -> None:
        """Take a finished record; never blocks and never raises for what a collector does."""
        sender = self._sender
        if sender is None or not keep(record, self.settings.traces):
            return
        count = 2 + len(record.steps) + len(record.attempts)
        if sender.has_room(count):
            sender.put(self._maker.spans(record), count)

    @property
    def dropped(self) -> int:
        """Spans that never reached a collector: no room in the queue, not accepted, or left behind at the end."""
        return self._sender.dropped if self._sender else 0

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Send what is left, for at most `timeout` seconds; blocks, so call it off the event loop."""
        if self._sender:
            self._sender.close(timeout)


def enabled(traces: Traces) -> bool:
    """Whether anything is exported at all; `OTEL_SDK_DISABLED=true` is the standard's own switch."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return traces.exporter == "otlp" and bool(traces.endpoint) and not disabled
