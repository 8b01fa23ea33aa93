"""The app's listener: one request in, one reply out."""

import asyncio
from collections.abc import Mapping
from urllib.parse import unquote

from proxy.clock import Clock
from proxy.config.secrets import Secret
from proxy.config.snapshot import Snapshot
from proxy.engine import Engine
from proxy.envelope import encode
from proxy.errors import ClientError, NoProviderAvailable, ProviderVerdict, SidestepError
from proxy.messages import Body, Operation, Reply
from proxy.pipeline.admission import admit
from proxy.record import Record
from proxy.routing.overrides import Overrides
from proxy.server.answer import error_reply, reply_headers, reply_lines
from proxy.server.asking import NewRecord, ask, begin
from proxy.server.body import read_body
from proxy.server.exchange import Exchange
from proxy.server.models import model_list, one_model
from proxy.server.probe import probe
from proxy.server.request import check_media_type

_OTHER = Operation.OTHER  # kept at hand: looking a member up is slow before Python 3.12
_MODELS = "/v1/models"
_PROBES = frozenset({"/livez", "/readyz"})


class DataListener:
    """Handles every request on `server.listen`. `ready` turns false while draining."""

    def __init__(self, engine: Engine, clock: Clock, new_record: NewRecord) -> None:
        self._engine = engine
        self._clock = clock
        self._new_record = new_record
        self.ready = True
        self._interrupted = False
        self._running: dict[Exchange, Body | None] = {}
        """What is being served, and the stream of each answer that has begun."""

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Raises nothing but cancellation and a lost connection."""
        path = exchange.path.partition("?")[0]
        if path in _PROBES:
            exchange.answer(probe(path, ready=self.ready))
            return
        record = begin(self._engine, self._new_record, path, exchange.headers, exchange.connection.address)
        self._running[exchange] = None
        self._engine.registry.in_flight += 1
        try:
            stream = await self._answer(exchange, path, record)
            if stream is not None:
                await _pump(exchange, stream)
        except SidestepError as error:
            self._refuse(exchange, error, record)
        except asyncio.CancelledError:
            if not self._interrupted or exchange.gone:
                record.cancelled = True
                raise
            exchange.task.uncancel()
            self._refuse(exchange, NoProviderAvailable("sidestep is shutting down", retry_after=1.0), record)
        except ConnectionError:
            record.cancelled = True
            raise
        finally:
            stream = self._running.pop(exchange)
            if stream is not None:
                stream.close()
            self._engine.registry.in_flight -= 1
            self._engine.finish(record)

    def interrupt(self) -> None:
        """Tell every client that is still being served that sidestep goes away; new ones are told the same."""
        self._interrupted = True
        for exchange, stream in self._running.items():
            if stream is not None:
                stream.interrupt()
            elif not exchange.gone:  # that of one who has left is cancelled already
                exchange.task.cancel()

    async def _answer(self, exchange: Exchange, path: str, record: Record) -> Body | None:
        """Admit, read, parse, run the pipeline, write; what is left to write comes back. Raises SidestepError."""
        engine, headers = self._engine, exchange.headers
        snapshot = engine.generation.snapshot
        operation = record.request.operation
        _admit(exchange.method, path, operation, headers, snapshot)
        if operation is _OTHER:
            document = encode(_models_document(path, snapshot, engine.registry.overrides))
            reply = Reply(headers={"content-type": "application/json"}, body=document)
        else:
            admit(engine.registry, snapshot.server.limits)
            check_media_type(operation, headers)  # before the body, which may be large or not even sent yet
            proceed = exchange.proceed if "expect" in headers and exchange.modern else None
            body = await read_body(exchange.payload, headers, snapshot.server.limits, proceed, self._clock.draw())
            reply = await ask(engine, record, headers, body)
            self._running[exchange] = reply.stream
        record.status = reply.status
        record.response_bytes = len(reply.body)
        lines = reply_lines(record, self._clock.now())
        if reply.stream is not None:
            exchange.begin(reply, lines)
        elif exchange.answer(reply, lines):
            await exchange.drained()
        return reply.stream

    def _refuse(self, exchange: Exchange, error: SidestepError, record: Record) -> None:
        record.error = error
        record.status = error.status
        refusal = error_reply(error, record, reply_headers(record, self._clock.now()))
        if error.status == 405:
            refusal.headers["allow"] = "GET" if "GET" in error.message else "POST"
        if error.status in {408, 413, 417} and not isinstance(error, ProviderVerdict):
            exchange.closing = True
        exchange.answer(refusal)


async def _pump(exchange: Exchange, stream: Body) -> None:
    """Take a piece only when the client has room for it."""
    while piece := await stream.read():
        if stream.ended and not stream.aborted:
            break
        if exchange.write(piece) or await stream.flow(exchange.write):
            await exchange.drained()
    if stream.aborted:
        exchange.abort()
    elif exchange.end(piece):
        await exchange.drained()


def _admit(method: str, path: str, operation: Operation, headers: Mapping[str, str], snapshot: Snapshot) -> None:
    """Decide by raw path, method and key alone; the operation `OTHER` that passes is a question for the model list."""
    wanted = "POST"
    if operation is _OTHER:
        if path != _MODELS and not path.startswith(_MODELS + "/"):
            raise ClientError("there is no such endpoint here", status=404, code="no_route")
        wanted = "GET"
    if method != wanted:
        raise ClientError(f"this endpoint takes {wanted}", status=405, code="method_not_allowed")
    if snapshot.server.client_keys:
        _check_key(headers.get("authorization", ""), snapshot.server.client_keys)


def _check_key(authorization: str, keys: tuple[Secret, ...]) -> None:
    scheme, _, candidate = authorization.partition(" ")
    # Every key is compared, so that the time taken does not tell which one was nearly right.
    matches = [key.matches(candidate.strip()) for key in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise ClientError("the client key is missing or wrong", status=401, code="invalid_client_key")


def _models_document(path: str, snapshot: Snapshot, overrides: Overrides) -> object:
    if path == _MODELS:
        return model_list(snapshot, overrides)
    return one_model(snapshot, overrides, unquote(path.removeprefix(_MODELS + "/")))
