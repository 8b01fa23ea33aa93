"""Two providers of a pair, for every test that needs one to fail and one to answer."""

import pytest
from lab.configuration import routes
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
def pair(p1, p2):
    return routes({"p1": p1, "p2": p2})
