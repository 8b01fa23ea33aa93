"""What becomes of a request alike, whether it came from a socket or from a call in this process."""

from collections.abc import Awaitable, Callable, Mapping

from proxy.engine import Engine
from proxy.messages import ENDPOINTS, Operation, Reply, Request
from proxy.record import Record
from proxy.server.request import complete, request_id

NewRecord = Callable[[Request, Mapping[str, str], float, str], Record]
"""Makes the record of a request from its headers (trace context), its start and its client's address."""


def begin(engine: Engine, new_record: NewRecord, path: str, headers: Mapping[str, str], client: str) -> Record:
    """Every request has a record from its first moment, so that whatever becomes of it is counted.

    `headers` has lower-case names; `path` has no query; `client` is the address it came from, empty in this process.
    """
    started = engine.clock.now()
    request = Request(
        id="",
        operation=ENDPOINTS.get(path) or Operation.OTHER,
        path=path,
        received=started,
    )
    record = new_record(request, headers, started, client)
    # A trace that begins here has no other request: its id is the request's as well.
    made = record.trace_id if record.parent_span_id is None else engine.clock.bits(128).to_bytes(16).hex()
    wanted = headers.get("x-request-id")
    request.id = made if wanted is None else request_id(wanted, made)
    record.generation = engine.generation.snapshot.generation
    return record


def ask(engine: Engine, record: Record, headers: Mapping[str, str], body: bytes) -> Awaitable[Reply]:
    """Parse the body of a request that has begun and let the engine answer it. Raises SidestepError."""
    complete(record.request, headers, body)
    return engine.handle(record.request, record)
