"""`/livez` and `/readyz`, the same on both listeners: constant bodies, no detail, no upstream contact."""

from aiohttp import web

from proxy.server.answer import SERVER_NAME


def probe(path: str, *, ready: bool) -> web.Response:
    """Answer `/livez` or `/readyz` with a constant body."""
    status, text = (200, b"ok\n") if ready or path == "/livez" else (503, b"draining\n")
    return web.Response(status=status, body=text, headers={"server": SERVER_NAME, "content-type": "text/plain"})
