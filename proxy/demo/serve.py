"""`sidestep demo --serve`: the scene to play with by hand, and a listener that breaks its providers on request."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

from aiohttp import web
from rich.console import Console

from proxy.demo.provider import Behaviour
from proxy.demo.scene import TOKEN, Scene
from proxy.demo.story import breaker_changes
from proxy.record import Record

_HELP = """\
Two simulated providers and a sidecar are up, until Ctrl-C. In another terminal:

  export SIDESTEP={base_url} BREAK={control}

Ask something, plain or as a stream:

  curl -si $SIDESTEP/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "demo", "messages": [{{"role": "user", "content": "hello"}}]}}'

  curl -sN $SIDESTEP/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "demo", "stream": true, "messages": [{{"role": "user", "content": "hello"}}]}}'

Break the primary, ask again, and mend it. It can be {behaviours}:

  curl -X POST $BREAK/primary/down
  curl -X POST $BREAK/primary/healthy

Dashboard: {admin}/ with the token {token}. Metrics: {admin}/metrics
What happens is told here:
"""


async def serve(scene: Scene, console: Console) -> None:
    """Print how to use it, tell every request, and return on SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def tell(records: Sequence[Record]) -> None:
        for line in chain.from_iterable(map(story_of, records)):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    scene.sidecar.engine.observers.append(tell)
    server = web.Server(control(scene))
    listener = await loop.create_server(server, "127.0.0.1", 0)
    try:
        text = _HELP.format(
            base_url=scene.base_url,
            admin=f"http://{scene.sidecar.admin_address}",
            control=f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}",
            behaviours=", ".join(Behaviour),
            token=TOKEN,
        )
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        await stop.wait()
    finally:
        listener.close()
        await server.shutdown(0)


def control(scene: Scene) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """Make the handler of `POST /{provider}/{behaviour}`."""
    providers = {provider.name: provider for provider in scene.providers}

    async def handle(http: web.BaseRequest) -> web.Response:
        name, _, behaviour = http.path.strip("/").partition("/")
        if http.method != "POST" or name not in providers or behaviour not in set(Behaviour):
            return web.Response(status=404, text=f"POST /{{{'|'.join(providers)}}}/{{{'|'.join(Behaviour)}}}\n")
        await providers[name].behave(Behaviour(behaviour))
        return web.Response(text=f"the {name} is {behaviour} now\n")

    return handle


def story_of(record: Record) -> list[str]:
    """Tell one finished request in a line, and what it changed in a line each."""
    rungs = [
        f"{rung.provider} {rung.error_class} ({rung.milliseconds:.0f} ms)"
        for rung in (attempt.summary() for attempt in record.attempts)
    ]
    ending = "broken off" if record.broken else str(record.status)
    changes = [f"     the breaker of the {name} is {state} now" for name, state in breaker_changes(record)]
    return [f"{ending}  {' -> '.join(rungs) or 'nobody was asked'}", *changes]
