"""The yardstick: the smallest honest pass-through on bare aiohttp. No routing, no failover, no telemetry.

python bench/yardstick.py PORT UPSTREAM_PORT
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web


async def main() -> None:
    port, upstream = int(sys.argv[1]), f"http://127.0.0.1:{sys.argv[2]}"
    session = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {"content-type": "application/json"}
        async with session.post(upstream + request.path, data=body, headers=headers) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(
                    status=answer.status, body=await answer.read(), headers={"content-type": answer.content_type}
                )
            response = web.StreamResponse(status=answer.status, headers={"content-type": "text/event-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            while data := await answer.content.readany():
                await response.write(data)
            await response.write_eof()
            return response

    server = web.Server(handle, access_log=None)
    await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
