"""The operator's side, open: its listener bound, and a token made where the configuration names none."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from proxy.config.secrets import Secret
from proxy.config.snapshot import Server
from proxy.server.admin.listener import AdminListener
from proxy.server.admin.operations import Operations, Pages
from proxy.server.admin.token_file import StateError, make_token, remove_token, token_file
from proxy.server.guard import GuardedServer
from proxy.server.listening import listen

logger = logging.getLogger("sidestep.server")


class Desk:
    """Where the operator asks and manages. `open`, then `close`."""

    def __init__(
        self, settings: Server, operations: Operations, pages: Pages, ready: Callable[[], bool], state_dir: Path | None
    ) -> None:
        self._settings = settings
        self._handler = AdminListener(settings.admin, settings.limits, operations, pages, ready)
        self._state_dir = state_dir
        """Where the token is kept; None: then nobody manages unless the configuration names one."""
        self._made: Secret | None = None
        self.server = GuardedServer(self._handler.handle, settings.limits)
        self.address = settings.admin.listen
        """Where it really listens, once open (port 0 is resolved)."""

    async def open(self) -> asyncio.Server:
        """Bind and serve. Raises ListenError."""
        listener, self.address = await listen(self.server, self._settings.admin.listen)
        if self._handler.token is None and self._state_dir is not None:
            self._handler.token = self._made = await asyncio.to_thread(self._make_token, self._state_dir)
        return listener

    def whereabouts(self) -> dict[str, str]:
        """Fields for the log: the address, and the file with the token if one was made."""
        where = {"admin_address": str(self.address)}
        if self._made is not None and self._state_dir is not None:
            where["admin_token_file"] = str(token_file(self._state_dir, self.address.port))
        return where

    async def close(self) -> None:
        """Take back the token that was made; the listener is its holder's to close."""
        if self._made is not None and self._state_dir is not None:
            await asyncio.to_thread(remove_token, self._state_dir, self.address.port, self._made)

    def _make_token(self, directory: Path) -> Secret | None:
        """Make the operator's token. A sidecar that cannot be managed still serves, so this is no reason to end."""
        try:
            return make_token(directory, self.address.port)
        except StateError as error:
            # Without the traceback: the reason says it all, and remedies it.
            logger.error("nobody can manage this sidecar: no admin token", extra={"reason": str(error)})  # noqa: TRY400
            return None
