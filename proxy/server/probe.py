"""`/livez` and `/readyz`, the same on both listeners: constant bodies, no detail, no upstream contact."""

from proxy.messages import Reply
from proxy.server.answer import SERVER_NAME


def probe(path: str, *, ready: bool) -> Reply:
    """Answer `/livez` or `/readyz` with a constant body."""
    status, text = (200, b"ok\n") if ready or path == "/livez" else (503, b"draining\n")
    return Reply(status=status, body=text, headers={"server": SERVER_NAME, "content-type": "text/plain"})
