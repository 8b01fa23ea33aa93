"""The operator's listener: probes and metrics."""

from collections.abc import Callable

from aiohttp import web

from proxy.errors import ClientError
from proxy.server.answer import SERVER_NAME, error_response
from proxy.server.probe import probe
from proxy.telemetry.metrics import Metrics


class AdminListener:
    """Handles every request on `server.admin.listen`."""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._metrics = metrics
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
            body, content_type = self._metrics.render(http.headers.get("accept", ""))
            return web.Response(body=body, headers={"content-type": content_type, "server": SERVER_NAME})
        return probe(path, ready=self._ready())
