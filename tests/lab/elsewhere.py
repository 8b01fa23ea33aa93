"""A sidecar on a thread with a loop of its own, for clients that block the loop of the test."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from lab.configuration import Document
from lab.sidecar import Running, running


@contextmanager
def sidecar_elsewhere(documents: Document, **policy: Any) -> Iterator[Running]:
    """Serve these routes until the end of the block. Of what is yielded only the ports may be used from outside."""
    started: Future[tuple[Running, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        ended = asyncio.Event()
        async with running(documents, **policy) as sidecar:
            started.set_result((sidecar, asyncio.get_running_loop(), ended))
            await ended.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    sidecar, loop, ended = started.result()
    try:
        yield sidecar
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
