"""The app's listener: one HTTP request in, one reply out, over aiohttp's low-level server."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from proxy.clock import Clock
from proxy.config.secrets import Secret
from proxy.config.snapshot import Snapshot
from proxy.engine import Engine
from proxy.envelope import encode
from proxy.errors import ClientError, ProviderVerdict, SidestepError
from proxy.messages import Operation, Request
from proxy.pipeline.admission import admit
from proxy.record import Record
from proxy.routing.overrides import Overrides
from proxy.server.answer import SERVER_NAME, error_response, reply_headers, write_reply
from proxy.server.body import read_body
from proxy.server.models import model_list, one_model
from proxy.server.probe import probe
from proxy.server.request import check_media_type, operation_of, parse_request, request_id

NewRecord = Callable[[Request, Mapping[str, str], float], Record]
"""Makes the record of a request from its headers (trace context) and its start."""

_MODELS = "/v1/models"


class DataListener:
    """Handles every request on `server.listen`. `ready` turns false while draining."""

    def __init__(self, engine: Engine, clock: Clock, new_record: NewRecord) -> None:
        self._engine = engine
        self._clock = clock
        self._new_record = new_record
        self.ready = True

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises nothing but cancellation."""
        started = self._clock.now()
        path = http.raw_path.partition("?")[0]
        if path in {"/livez", "/readyz"}:
            return probe(path, ready=self.ready)
        headers = {name.lower(): value for name, value in http.headers.items()}
        identifier = request_id(headers.get("x-request-id"), f"{self._clock.bits(128):032x}")
        snapshot = self._engine.generation.snapshot
        own = {"x-request-id": identifier, "x-sidestep-generation": snapshot.generation}
        try:
            operation = _admit(http, path, headers, snapshot)
            if operation is None:
                return _json_response(_models_document(path, snapshot, self._engine.registry.overrides), own)
        except ClientError as error:
            return _refusal(error, None, own)
        return await self._answer(http, headers, identifier, operation, started)

    async def _answer(
        self, http: web.BaseRequest, headers: Mapping[str, str], identifier: str, operation: Operation, started: float
    ) -> web.StreamResponse:
        """Read, parse, run the pipeline, write; whatever happens, the record is finished once."""
        engine = self._engine
        path = http.raw_path.partition("?")[0]
        bare = Request(id=identifier, operation=operation, path=path, body=b"", document={}, received=started)
        record = self._new_record(bare, headers, started)
        engine.registry.in_flight += 1
        reply = None
        try:
            admit(engine.registry, engine.generation.snapshot.server.limits)
            check_media_type(operation, headers)  # before the body, which may be large or not even sent yet
            body = await read_body(http, headers, engine.generation.snapshot.server.limits)
            record.request = parse_request(
                identifier=identifier,
                path=path,
                operation=operation,
                headers=headers,
                body=body,
                received=started,
            )
            reply = await engine.handle(record.request, record)
            record.status = reply.status
            record.response_bytes = len(reply.body)
            return await write_reply(http, reply, reply_headers(record, self._clock.now()))
        except SidestepError as error:
            record.error = error
            record.status = error.status
            return _refusal(error, record, reply_headers(record, self._clock.now()))
        except (asyncio.CancelledError, ConnectionError):
            record.cancelled = True
            raise
        finally:
            if reply is not None and reply.stream is not None:
                reply.stream.close()
            engine.registry.in_flight -= 1
            engine.finish(record)


def _admit(http: web.BaseRequest, path: str, headers: Mapping[str, str], snapshot: Snapshot) -> Operation | None:
    """Decide by raw path, method and key alone; None is a question for the model list."""
    operation = operation_of(path)
    models = path == _MODELS or path.startswith(_MODELS + "/")
    if operation is None and not models:
        raise ClientError("there is no such endpoint here", status=404, code="no_route")
    wanted = "GET" if models else "POST"
    if http.method != wanted:
        raise ClientError(f"this endpoint takes {wanted}", status=405, code="method_not_allowed")
    _check_key(headers.get("authorization", ""), snapshot.server.client_keys)
    return operation


def _check_key(authorization: str, keys: tuple[Secret, ...]) -> None:
    if not keys:
        return
    scheme, _, candidate = authorization.partition(" ")
    # Every key is compared, so that the time taken does not tell which one was nearly right.
    matches = [key.matches(candidate.strip()) for key in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise ClientError("the client key is missing or wrong", status=401, code="invalid_client_key")


def _models_document(path: str, snapshot: Snapshot, overrides: Overrides) -> object:
    if path == _MODELS:
        return model_list(snapshot, overrides)
    return one_model(snapshot, overrides, unquote(path.removeprefix(_MODELS + "/")))


def _json_response(document: object, headers: Mapping[str, str]) -> web.Response:
    own = {"content-type": "application/json", "server": SERVER_NAME}
    return web.Response(body=encode(document), headers={**own, **headers})


def _refusal(error: SidestepError, record: Record | None, headers: Mapping[str, str]) -> web.Response:
    response = error_response(error, record, headers)
    if error.status == 405:
        response.headers["allow"] = "GET" if "GET" in error.message else "POST"
    if error.status in {408, 413, 417} and not isinstance(error, ProviderVerdict):
        response.force_close()
    return response
