"""Each toxic spoils a link in its own way, and none of them forges a byte."""

import asyncio

import pytest
from lab import http1
from lab.client import RawClient, request
from lab.toxics import Link, Toxic
from lab.upstream import Upstream

PATIENCE = 0.1
"""Seconds after which silence counts as silence."""
ASK = request("GET", "/v1/models", headers={"Connection": "close"})


@pytest.fixture
async def link():
    async with Upstream("p1", fault="close_idle") as upstream, Link(upstream.port) as link:
        yield link


async def ask(link):
    async with RawClient(link.port) as client:
        return await client.ask(ASK)


@pytest.mark.parametrize(
    "toxic", [Toxic(), Toxic(latency=0.01), Toxic(bandwidth=100_000), Toxic(slicer=1), Toxic(slow_close=0.01)]
)
async def test_a_slow_link_delivers_every_byte(link, toxic):
    link.toxic = toxic
    response = await ask(link)
    assert response.complete
    assert response.json()["object"] == "list"


async def test_a_link_that_is_down_resets(link):
    link.toxic = Toxic(down=True)
    with pytest.raises(ConnectionError):
        await ask(link)


async def test_limited_data_cuts_the_answer(link):
    link.toxic = Toxic(limit_data=150)
    response = await ask(link)
    assert not response.complete


async def test_a_timeout_lets_nothing_pass_and_then_closes(link):
    link.toxic = Toxic(timeout=0.01)
    with pytest.raises(http1.IncompleteMessage):
        await ask(link)


async def test_a_peer_is_reset_after_its_time(link):
    link.toxic = Toxic(reset_peer=0.02, latency=5)
    with pytest.raises(ConnectionError):
        await ask(link)


@pytest.mark.parametrize("toxic", [Toxic(latency=5), Toxic(timeout=5)])
async def test_a_client_that_gives_up_waits_for_nothing(link, toxic):
    link.toxic = toxic
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await ask(link)


async def test_a_slow_close_delays_the_end_and_nothing_else(link):
    link.toxic = Toxic(slow_close=5)
    async with RawClient(link.port) as client:
        assert (await client.ask(ASK)).complete
        assert not await client.closed(within=PATIENCE)
