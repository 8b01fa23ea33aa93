"""A sidecar with one honest provider, for what happens before any provider is contacted."""

from contextlib import asynccontextmanager

import pytest
from lab.configuration import routes
from lab.exchange import Exchange, frame
from lab.fault import Fault, fault
from lab.sidecar import running
from lab.upstream import Upstream


@fault
async def endless(exchange: Exchange, _: Fault) -> None:
    """A stream that never ends, as fast as it is read."""
    await exchange.tell(0)
    piece = frame(exchange.events.output[0]) * 100
    while True:
        await exchange.chunk(piece)


@pytest.fixture
async def upstream():
    async with Upstream("p1") as honest:
        yield honest


@pytest.fixture
def serve(upstream):
    """Serve the provider; keywords are the fields of `server`, `policy` that of the policy."""

    @asynccontextmanager
    async def serve(policy=None, **server):
        async with running(routes({"p1": upstream}, server=server), **(policy or {})) as sidecar:
            yield sidecar

    return serve


@pytest.fixture
async def sidecar(serve):
    async with serve() as served:
        yield served
