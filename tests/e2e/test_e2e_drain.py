"""What still runs when the drain's time is over is told so, in the stream, before the program ends."""

import json

from lab.client import RawClient, request
from lab.configuration import routes
from lab.sidecar import chat, eventually, process


async def test_a_stream_that_outlives_the_drain_ends_with_an_error_frame(p1):
    p1.fault = "stall:2"
    clocks = {"connect": "1s", "idle": "60s", "total": "60s"}
    sections = {"server": {"drain": {"delay": "0s", "timeout": "300ms"}}}
    async with process(routes({"p1": p1}, **sections), timeouts=clocks) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        await p1.until(lambda: len(p1.requests) == 1)
        program.terminate()
        response = await client.response()
        assert response.complete
        *_, last = response.events()
        assert set(json.loads(last)) == {"error"}
        assert b"[DONE]" not in response.body
        assert await program.ended() == 0


async def test_a_plain_request_that_outlives_the_drain_is_told_503(p1):
    p1.fault = "hang"
    clocks = {"connect": "1s", "first_output": "60s", "total": "60s"}
    sections = {"server": {"drain": {"delay": "0s", "timeout": "300ms"}}}
    async with process(routes({"p1": p1}, **sections), timeouts=clocks) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello")))
        await p1.until(lambda: len(p1.requests) == 1)
        program.terminate()
        response = await client.response()
        assert response.status == 503
        assert await program.ended() == 0


async def test_a_stream_that_a_second_signal_ends_is_told_so_too(p1):
    p1.fault = "stall:2"
    clocks = {"connect": "1s", "idle": "60s", "total": "60s"}
    sections = {"server": {"drain": {"delay": "0s", "timeout": "60s"}}}
    async with process(routes({"p1": p1}, **sections), timeouts=clocks) as program, RawClient(program.port) as client:
        await client.send(request(document=chat("hello", stream=True)))
        response = await client.head()
        pieces = client.pieces(response)
        response.body = await anext(pieces)
        program.terminate()
        await until_it_drains(program)
        program.terminate()
        async for piece in pieces:
            response.body += piece
        *_, last = response.events()
        assert set(json.loads(last)) == {"error"}
        assert await program.ended() == 0


async def until_it_drains(program):
    """A second signal must not overtake the first."""

    async def unready():
        return (await program.admin("/readyz")).status == 503

    await eventually(unready)
