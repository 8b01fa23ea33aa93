"""A scripted outage as its operator sees it: Debian's Prometheus scrapes the real program, and the alerts tell of it.

The shipped rules, with minutes made into seconds; see `prometheus.py`.
"""

import asyncio
import json
import re
import signal
from contextlib import asynccontextmanager

import pytest
from lab.configuration import provider, routes, write
from lab.sidecar import eventually, process
from lab.upstream import Upstream
from prometheus import DEPLOY, hurried, prometheus

WITHIN = 30.0
"""Seconds; what is waited for takes two to five."""
QUICK_BREAKER = {"failures": 3, "open_for": "300ms", "max_open_for": "600ms"}
QUIET = {"Overloaded", "OverheadHigh", "SpansDropped", "LogLinesDropped", "ProviderRefuses"}
"""Alerts that this outage is no reason for; their stories are in deploy/alerts.test.yaml."""
COMPANION = ("RetryBudgetExhausted", "")
"""Every change of provider is charged to the budget, so it may be told of with any of the others."""
EMPTY = {"Repeats, hedges, maybe billed"}
"""Panels that have nothing to show of it, at least in part."""

pytestmark = pytest.mark.needs_promtool


@asynccontextmanager
async def asked(program):
    """Keep asking, twenty times a second, whatever the answers are."""

    async def ask_on():
        while True:
            await program.chat("hello")
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask_on())
        yield
        asking.cancel()


async def fires(server, *alerts):
    """Wait until these alerts fire, whatever others do."""
    await until(server, lambda firing: set(alerts) <= firing)


async def falls_quiet(server):
    """Wait until no alert fires."""
    await until(server, lambda firing: not firing)


async def until(server, condition):
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not condition(firing := await server.firing()):
        assert loop.time() - begun < WITHIN, f"after {WITHIN} s there fires {firing or 'nothing'}"
        await asyncio.sleep(0.1)


async def test_the_alerts_tell_of_an_outage_while_it_lasts_and_of_nothing_else(tmp_path):
    async with Upstream("p1") as p1, Upstream("p2") as p2:
        pair = routes({"primary": provider(p1, retries=0), "secondary": provider(p2, retries=0)})
        async with (
            process(pair, breaker=QUICK_BREAKER) as program,
            prometheus(tmp_path, [f"127.0.0.1:{program.admin_port}"]) as server,
        ):
            async with asked(program):
                await eventually(scraped(server), WITHIN)
                assert await server.firing() == set()

                # every third answer of the primary is a 503: too few for its breaker, enough for the operator
                p1.schedule = lambda turn: "ok" if turn % 3 else "status:503"
                await fires(server, ("FailoverRateHigh", ""))
                assert await server.firing() <= {("FailoverRateHigh", ""), COMPANION}

                # now all of them are: it is skipped, so that hardly any request has to change its provider
                p1.schedule, p1.fault = None, "status:503"
                await fires(server, ("ProviderDown", "primary"))
                assert await server.firing() <= {("FailoverRateHigh", ""), ("ProviderDown", "primary"), COMPANION}

                # the secondary dies too: nobody is left
                await p2.go_down()
                both = ("AllProvidersDown", ""), ("ClientErrors", ""), ("ProviderDown", "secondary")
                await fires(server, *both)

                # both are back: every alert ends by itself
                await p2.come_back()
                p1.fault = "ok"
                await falls_quiet(server)

            # and a sidecar that is gone is told of as well
            program.child.send_signal(signal.SIGKILL)
            await program.ended()
            await fires(server, ("SidestepDown", ""))


async def test_a_configuration_that_was_refused_is_told_of_until_it_is_mended(tmp_path):
    async with Upstream("p1") as p1:
        documents = routes({"p1": p1})
        file = write(tmp_path, documents, {})
        async with (
            process(documents, "--routes", str(file)) as program,
            prometheus(tmp_path, [f"127.0.0.1:{program.admin_port}"]) as server,
        ):
            file.write_text(json.dumps(documents | {"rutes": []}))
            await fires(server, ("ConfigRefused", ""))
            file.write_text(json.dumps(documents))
            await falls_quiet(server)


async def test_every_panel_of_the_dashboard_shows_something_of_an_outage(tmp_path):
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "sidestep.json").read_text())["panels"]
    queries = [(panel["title"], each["expr"]) for panel in panels for each in panel.get("targets", ())]
    async with Upstream("p1", fault="status:503") as p1, Upstream("p2") as p2:
        pair = routes({"primary": provider(p1, retries=1), "secondary": p2})
        async with (
            process(pair, breaker=QUICK_BREAKER) as program,
            prometheus(tmp_path, [f"127.0.0.1:{program.admin_port}"]) as server,
            asked(program),
        ):
            for title, query in queries:
                written = query.replace("$__rate_interval", "4s").replace("$instance", ".*")
                assert "$" not in written
                if title in EMPTY:
                    await server.query(written)
                    continue

                async def shown(written=written):
                    return bool(await server.query(written))

                await eventually(shown, WITHIN)


def scraped(server):
    async def condition():
        return len(await server.query("rate(sidestep_requests_total[3s]) > 0")) > 0

    return condition


def test_hurrying_touches_times_and_nothing_else():
    rules = (DEPLOY / "alerts.yaml").read_text()
    assert len(re.findall(r"\[\d+s\]|for: \d+s", hurried(rules))) == len(re.findall(r"\[\d+m\]|for: \d+m", rules)) > 12
    assert re.sub(r"(\[|for: )(\d+)s", r"\1\2m", hurried(rules)) == rules


async def test_the_alerts_that_stayed_quiet_are_all_the_others():
    """So that a new alert finds its way into the outage, or onto the list of those that it does not concern."""
    names = set(re.findall(r"- alert: (\w+)", (DEPLOY / "alerts.yaml").read_text()))
    told = {"ProviderDown", "FailoverRateHigh", "AllProvidersDown", "ClientErrors", "SidestepDown", "ConfigRefused"}
    assert names == told | QUIET | {COMPANION[0]}
