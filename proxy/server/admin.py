"""The operator's listener: probes and metrics."""

from collections.abc import Callable

from aiohttp import web

from proxy.errors import ClientError
from proxy.server.answer import SERVER_NAME, error_response
from proxy.telemetry import Telemetry


class AdminListener:
    """Handles every request on `server.admin.listen`."""

    def __init__(self, telemetry: Telemetry, ready: Callable[[], bool]) -> None:
        self._telemetry = telemetry
        self._ready = ready

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request by its raw path."""
        path = http.raw_path.partition("?")[0]
        if path not in {"/livez", "/readyz", "/metrics"}:
            return error_response(ClientError("there is nothing here", status=404, code="not_found"), None, {})
        if http.method not in {"GET", "HEAD"}:
            error = ClientError("this endpoint takes GET", status=405, code="method_not_allowed")
            return error_response(error, None, {"allow": "GET, HEAD"})
        if path == "/metrics":
            body, content_type = self._telemetry.metrics.render(http.headers.get("accept", ""))
            return web.Response(body=body, headers={"content-type": content_type, "server": SERVER_NAME})
        return probe(path, ready=self._ready())


def probe(path: str, *, ready: bool) -> web.Response:
    """Answer `/livez` or `/readyz` with a constant body."""
    status, text = (200, b"ok\n") if ready or path == "/livez" else (503, b"draining\n")
    return web.Response(status=status, body=text, headers={"server": SERVER_NAME, "content-type": "text/plain"})
