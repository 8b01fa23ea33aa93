"""What sidestep says about an answer in headers of its own."""

from lab.client import Response
from lab.sidecar import Served


def ours(response: Response) -> dict[str, str]:
    """Return the `x-sidestep-*` headers without their common beginning; the generation is another test's."""
    named = {name.lower(): value for name, value in response.headers}
    own = {name.removeprefix("x-sidestep-"): value for name, value in named.items() if name.startswith("x-sidestep-")}
    own.pop("generation", None)
    return own


def served_by(response: Response) -> str | None:
    """Return the provider that answered."""
    return response.headers.get("x-sidestep-provider")


async def asked(sidecar: Served, count: int, **fields: object) -> list[Response]:
    """Ask that many questions, one after the other."""
    return [await sidecar.chat(f"nonce-{number}", **fields) for number in range(count)]
