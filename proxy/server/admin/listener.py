"""The operator's listener: probes, metrics and the dashboard's page for anyone, `/admin/` for whoever has the token.

Paths are compared as they stand on the wire: nothing is decoded or tidied up, so no other spelling reaches anything.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from typing import Any

from aiohttp import web

from proxy.config.snapshot import Admin, Limits
from proxy.envelope import encode, error_document
from proxy.errors import ClientError, SidestepError
from proxy.server.admin.access import check_host, check_origin, check_token
from proxy.server.admin.dashboard.serving import HEADERS as PAGE_HEADERS
from proxy.server.admin.dashboard.serving import file_at
from proxy.server.admin.events import serve_events
from proxy.server.admin.management import RefusedReloadError, problem_document
from proxy.server.admin.operations import Document, Operations, Pages, Told, settled
from proxy.server.answer import SERVER_NAME, error_reply, response_of
from proxy.server.body import CONTINUE, read_body
from proxy.server.probe import probe
from proxy.server.request import parse_document

logger = logging.getLogger("sidestep.admin")

MAX_BODY = 64 * 1024
_ASKED = web.RequestKey("asked", dict[str, Any])
"""Where a request keeps what it asked for, for the log."""
_NAME = r"([A-Za-z0-9._-]{1,64})"
"""As the configuration allows them."""
_NAMED = re.compile(rf"/admin/(?:providers/{_NAME}/(enable|disable|check)|routes/{_NAME}/strategy)")
HEADERS: Mapping[str, str] = {
    "server": SERVER_NAME,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
"""On every answer of this listener."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Resource:
    """What stands behind a path."""

    method: str
    handle: Handler


class AdminListener:
    """Handles every request on `server.admin.listen`."""

    def __init__(
        self, settings: Admin, limits: Limits, management: Operations, metrics: Pages, ready: Callable[[], bool]
    ) -> None:
        self.token = settings.token
        """Set later when one is made for the port; without one nobody manages anything."""
        self._management = management
        self._metrics = metrics
        self._ready = ready
        self._limits = replace(limits, body=MAX_BODY)
        self._names = frozenset(name.lower().strip("[]") for name in (settings.listen.host, *settings.hosts))
        self._fixed = {
            "/admin/status": _told("GET", management.status),
            "/admin/stats": _told("GET", management.statistics),
            "/admin/stats/reset": _told("POST", management.reset_statistics),
            "/admin/overrides/reset": _told("POST", management.reset_overrides),
            "/admin/reload": _told("POST", management.reload),
            "/admin/config": _told("GET", management.config),
            "/admin/requests": _told("GET", management.requests),
            "/admin/events": Resource("GET", self._events),
            "/admin/openapi.json": _told("GET", description),
        }

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every change that was asked for leaves a line in the log, refused or not."""
        path = http.raw_path.partition("?")[0]
        try:
            response = await self._answer(http, path)
        except SidestepError as error:
            response = _refusal(error)
        if path.startswith("/admin/") and http.method not in {"GET", "HEAD", "OPTIONS"}:
            extra: dict[str, Any] = {"who": http.remote, "what": f"{http.method} {path}", "result": response.status}
            if _ASKED in http:
                extra["asked"] = http[_ASKED]
            logger.info("management", extra=extra)
        return response

    async def _answer(self, http: web.BaseRequest, path: str) -> web.StreamResponse:
        """Decide by raw path, Host, Origin, token and method, in this order. Raises SidestepError."""
        if path in {"/livez", "/readyz"}:
            _check_method(http, "GET", "HEAD")
            return response_of(probe(path, ready=self._ready()))
        authority = http.headers.get("host", "")
        management = path.startswith("/admin/")
        check_host(authority, self._names, addresses=not management)
        check_origin(http.headers.get("origin"), authority)
        if path == "/metrics":
            _check_method(http, "GET", "HEAD")
            body, content_type = await settled(self._metrics.render(http.headers.get("accept", "")))
            return web.Response(body=body, headers={**HEADERS, "content-type": content_type})
        if management:
            check_token(http.headers.get("authorization", ""), self.token)
            if (http.content_length or 0) > MAX_BODY:
                raise ClientError(f"the body is larger than {MAX_BODY} bytes", status=413, code="body_too_large")
        elif (file := file_at(path)) is not None:
            _check_method(http, "GET", "HEAD")
            return web.Response(body=file.body, headers={**HEADERS, **PAGE_HEADERS, "content-type": file.content_type})
        resource = self._resource(path) if management else None
        if resource is None:
            raise ClientError("there is nothing here", status=404, code="not_found")
        _check_method(http, resource.method)
        return await resource.handle(http)

    def _resource(self, path: str) -> Resource | None:
        """Find what stands behind a path that is not fixed too."""
        found = _NAMED.fullmatch(path)
        if found is None:
            return self._fixed.get(path)
        provider, verb, route = found.groups()
        if route is not None:
            return Resource("PUT", partial(self._choose_strategy, route))
        if verb == "check":
            return _told("POST", partial(self._management.check, provider))
        return _told("POST", partial(self._management.enable, provider, enabled=verb == "enable"))

    async def _choose_strategy(self, name: str, http: web.BaseRequest) -> web.StreamResponse:
        body = await read_body(http.content, http.headers, self._limits, partial(_proceed, http))
        http[_ASKED] = document = parse_document(body)
        return _json(await settled(self._management.choose_strategy(name, document)))

    async def _events(self, http: web.BaseRequest) -> web.StreamResponse:
        return await serve_events(http, self._management.journal, self._management.status, HEADERS)


def description() -> Document:
    """The OpenAPI 3.1 description of this listener's management."""
    document: Document = json.loads(resources.files("proxy.server.admin").joinpath("openapi.json").read_text("utf-8"))
    return document


def _told(method: str, make: Callable[[], Told]) -> Resource:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return _json(await settled(make()))

    return Resource(method, handle)


def _proceed(http: web.BaseRequest) -> None:
    """Send `100 Continue`, which is no part of the answer."""
    if http.transport is not None:
        http.transport.write(CONTINUE)


def _check_method(http: web.BaseRequest, *allowed: str) -> None:
    if http.method not in allowed:
        raise WrongMethodError(allowed)


class WrongMethodError(ClientError):
    """405, and what it takes instead."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"this endpoint takes {allowed[0]}", status=405, code="method_not_allowed")
        self.allowed = ", ".join(allowed)


def _json(document: Any) -> web.Response:  # noqa: ANN401  any JSON value
    return web.Response(body=encode(document), headers={**HEADERS, "content-type": "application/json"})


def _refusal(error: SidestepError) -> web.Response:
    """The error in OpenAI's shape, as on the app's listener; a refused reload says every problem."""
    headers = dict(HEADERS)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, WrongMethodError):
        headers["allow"] = error.allowed
    response = response_of(error_reply(error, None, headers))
    if isinstance(error, RefusedReloadError):
        problems = [problem_document(each) for each in error.problems]
        response.body = encode({**error_document(error, None, ""), "problems": problems})
    if error.status in {408, 413, 417}:
        response.force_close()
    return response
