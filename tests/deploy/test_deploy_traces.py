"""The traces drawn in docs/deployment.md are those that a real OTLP receiver reads back."""

import re
from pathlib import Path

import pytest
from lab import otlp
from lab.configuration import provider, routes
from lab.sidecar import running
from lab.upstream import Upstream

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
FAULTS = {"A plain answer": "ok", "A failover": "status:503", "A cut stream": "cut:2"}


def drawn(title):
    """The tree below that heading, as it stands on the page."""
    section = PAGE.read_text().split(f"\n#### {title}\n")[1].split("\n#")[0]
    return re.search(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1].splitlines()


@pytest.mark.parametrize(("title", "fault"), FAULTS.items())
async def test_a_trace_looks_as_it_is_drawn(title, fault):
    with otlp.grpc_receiver() as collector:
        async with Upstream("p1", fault=fault) as p1, Upstream("p2") as p2:
            exporter = {"exporter": "otlp", "endpoint": collector.endpoint, "protocol": "grpc"}
            pair = {"primary": provider(p1, retries=0), "secondary": p2}
            async with running(routes(pair, telemetry={"traces": exporter})) as sidecar:
                await sidecar.chat("hello", TRACEPARENT, stream=True)
        assert drawn(title) == collector.tree(TRACE)
