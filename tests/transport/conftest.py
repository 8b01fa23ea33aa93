"""One call after the other through a transport of its own, to a lying upstream."""

import asyncio

import pytest
from lab.upstream import Upstream

from proxy.config.snapshot import Tls
from proxy.errors import Failure
from proxy.messages import Expect, WireRequest
from proxy.transport.session import AttemptError, Transport


class Caller:
    """Asks an upstream and reads its whole answer."""

    def __init__(self, transport):
        self.transport = transport

    async def open(
        self, url, *, body=b"{}", headers=None, connect=5.0, within=60.0, tls=None, method="POST", traceparent=""
    ):
        """Send a request and return the answer whose head has arrived."""
        sent = {"content-type": "application/json", "accept-encoding": "identity"} | (headers or {})
        wire = WireRequest(method=method, url=url, headers=sent, body=body, model="m", expect=Expect.JSON)
        return await self.transport.send(
            wire,
            connect=connect,
            until=asyncio.get_running_loop().time() + within,
            tls=tls or Tls(),
            traceparent=traceparent,
        )

    async def ask(self, url, *, limit=2**20, **how):
        """The whole body, or the Failure."""
        try:
            upstream = await self.open(url, **how)
        except AttemptError as error:
            return error.failure
        try:
            return await upstream.read_all(limit)
        except AttemptError as error:
            return error.failure
        finally:
            upstream.close()

    async def fail(self, url, **how):
        """The Failure of an ask that must not succeed."""
        failure = await self.ask(url, **how)
        assert isinstance(failure, Failure)
        return failure


@pytest.fixture
async def caller():
    transport = Transport()
    yield Caller(transport)
    await transport.close()


@pytest.fixture
async def upstream():
    async with Upstream("p1") as honest:
        yield honest


@pytest.fixture
def url(upstream):
    return f"{upstream.url}/v1/chat/completions"
