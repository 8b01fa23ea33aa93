"""The operator's end of a sidecar's admin listener."""

from dataclasses import dataclass
from typing import Any

from lab.client import RawClient, Response, request
from lab.configuration import Document, routes
from lab.sidecar import Served

TOKEN = "an-operators-token"
READS = ("/admin/status", "/admin/stats", "/admin/config", "/admin/requests", "/admin/openapi.json")
WRITES = (
    ("POST", "/admin/stats/reset"),
    ("POST", "/admin/providers/p1/enable"),
    ("POST", "/admin/providers/p1/disable"),
    ("POST", "/admin/providers/p1/check"),
    ("PUT", "/admin/routes/chat/strategy"),
    ("POST", "/admin/overrides/reset"),
    ("POST", "/admin/reload"),
)


@dataclass
class Operator:
    """Asks one sidecar, with the token unless told otherwise."""

    sidecar: Served

    async def ask(
        self, method: str, path: str, document: object = None, *, token: str | None = TOKEN, **fields: Any
    ) -> Response:
        """Send one request; `body` and `headers` are as for `lab.client.request`."""
        headers = fields.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}"} | headers
        async with RawClient(self.sidecar.admin_port) as client:
            return await client.ask(request(method, path, document, headers=headers, **fields), method=method)

    async def get(self, path: str) -> Any:
        """Read a document that must be there."""
        response = await self.ask("GET", path)
        assert response.status == 200, response.body
        return response.json()

    async def change(self, method: str, path: str, document: object = None) -> Any:
        """Change something that can be changed; the new state."""
        response = await self.ask(method, path, document)
        assert response.status == 200, response.body
        return response.json()


def managed(providers: Document, **admin: Any) -> Document:
    """Build routes over these providers, with the operator's token."""
    return routes(providers, server={"admin": {"listen": "127.0.0.1:0", "token": TOKEN, **admin}})
