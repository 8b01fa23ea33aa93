"""A provider of pictures fails, or calls something else a picture."""

import base64

from lab.fault import Fault, status
from lab.scenario import DOWN, Scenario
from lab.stage import Stage


def picturing(name: str, fault: str | Fault) -> Scenario:
    """A provider of pictures that sends something else."""

    async def play(stage: Stage) -> None:
        stage.history.uncounted = True
        for number in range(min(10, stage.requests)):
            document = {"model": "flux", "prompt": f"picture {number}", "size": "64x64", "response_format": "b64_json"}
            async with stage.gateway.client() as client:
                response = await client.ask(stage.gateway.request(document, path="/images/generations"))
            stage.expect(response.status == 200, f"{response.status}: {response.body[:150]!r}")
            painted = base64.b64decode(response.json()["data"][0]["b64_json"])
            stage.expect(painted.startswith(b"\x89PNG"), f"not the secondary's picture: {painted[:20]!r}")
        stage.see(
            f"{len(stage.secondary.requests)} pictures by the secondary, {len(stage.primary.requests)} calls to it"
        )

    return Scenario(
        name=name,
        chapter="A provider of pictures fails",
        expected="every picture is the secondary's; no error",
        play=play,
        fault=fault,
        images=True,
        primary={"timeout": "4s"},
    )


QUEUE_FULL = {"error": "Queue full for IP 127.0.0.1: 1 requests already queued (max: 1)", "status": 402, "details": {}}
SCENARIOS = [
    picturing("refuses connections, of pictures", DOWN),
    picturing("answers 500 instead of a picture", "status:500"),
    picturing("says 402, its queue is full", status(402, QUEUE_FULL)),
    picturing("calls a sentence a picture", "not_an_image"),
    picturing("sends JSON instead of a picture", "error_body"),
    picturing("sends a page instead of a picture", "html"),
]
