"""A sidecar over two honest providers, and its operator."""

import pytest
from lab.operator import Operator, managed
from lab.sidecar import running


@pytest.fixture
async def sidecar(p1, p2):
    async with running(managed({"p1": p1, "p2": p2})) as served:
        yield served


@pytest.fixture
def operator(sidecar):
    return Operator(sidecar)
