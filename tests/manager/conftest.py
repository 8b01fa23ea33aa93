"""A manager over two lab providers, both ways: the engine in this process, and a sidecar in another thread."""

from contextlib import asynccontextmanager

import pytest
from lab.configuration import CHAT, routes, write
from lab.elsewhere import sidecar_elsewhere
from lab.operator import TOKEN
from lab.upstream import Upstream

from proxy import AIProviderManager

IMAGES = "/v1/images/generations"


@pytest.fixture
async def p1():
    async with Upstream("p1", flavour="pollinations") as upstream:
        yield upstream


@pytest.fixture
async def p2():
    async with Upstream("p2", flavour="openrouter") as upstream:
        yield upstream


@pytest.fixture
def documents(p1, p2):
    """The two providers that the manager always had, for text; images come from the first alone."""
    admin = {"listen": "127.0.0.1:0", "token": TOKEN}
    made = routes({"pollinations": p1, "openrouter": p2}, CHAT, IMAGES, server={"admin": admin})
    made["routes"][1]["providers"] = ["pollinations"]
    return made


@asynccontextmanager
async def embedded(folder, documents, **policy):
    file = write(folder, documents, policy)
    async with AIProviderManager.from_files(file, environment={}) as manager:
        yield manager


@asynccontextmanager
async def remote(folder, documents, **policy):
    with sidecar_elsewhere(documents, **policy) as sidecar:
        url, admin = (f"http://127.0.0.1:{port}" for port in (sidecar.port, sidecar.admin_port))
        async with AIProviderManager.connect(url, admin, token=TOKEN) as manager:
            yield manager


@pytest.fixture(params=[embedded, remote], ids=lambda way: way.__name__)
def start(request, tmp_path):
    """Start a manager over these documents; keywords change the policy."""

    def start(documents, **policy):
        return request.param(tmp_path, documents, **policy)

    return start


@pytest.fixture
async def manager(start, documents):
    async with start(documents) as started:
        yield started


@pytest.fixture
async def patient(start, documents):
    """One whose clocks do not end anything within a test."""
    async with start(documents, timeouts={"first_output": "60s", "idle": "60s", "total": "60s"}) as started:
        yield started
