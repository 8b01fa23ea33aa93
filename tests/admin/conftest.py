"""A sidecar over two honest providers, and its operator."""

import pytest
from lab.operator import Operator, managed
from lab.sidecar import running
from lab.upstream import Upstream


@pytest.fixture
async def p1():
    async with Upstream("p1") as upstream:
        yield upstream


@pytest.fixture
async def p2():
    async with Upstream("p2") as upstream:
        yield upstream


@pytest.fixture
async def sidecar(p1, p2):
    async with running(managed({"p1": p1, "p2": p2})) as served:
        yield served


@pytest.fixture
def operator(sidecar):
    return Operator(sidecar)
