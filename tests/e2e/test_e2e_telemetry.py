"""A failover as its operator sees it: one trace from the app to the provider, metrics that agree, one log line."""

import pytest
from lab import otlp
from lab.configuration import provider, routes
from lab.sidecar import process, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(params=["http", "grpc"])
def collector(request):
    with {"http": otlp.http_receiver, "grpc": otlp.grpc_receiver}[request.param]() as receiver:
        receiver.protocol = request.param
        yield receiver


def traced(collector, **traces):
    exporter = {"exporter": "otlp", "endpoint": collector.endpoint, "protocol": collector.protocol}
    return {"telemetry": {"traces": exporter | traces}}


TREE = """
SERVER POST /v1/chat/completions
  INTERNAL chat small
    INTERNAL strategy
    INTERNAL rate_limit
    INTERNAL breaker
    CLIENT POST /chat/completions ERROR
    CLIENT POST /chat/completions ERROR
    INTERNAL strategy
    INTERNAL rate_limit
    INTERNAL breaker
    CLIENT POST /chat/completions
"""


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_failover_is_one_trace_from_the_app_to_the_provider(stream, p1, p2, collector):
    p1.fault = "status:503"
    pair = routes({"p1": provider(p1, retries=1), "p2": p2}, **traced(collector))
    async with running(pair) as sidecar:
        await sidecar.chat("the secret plan", {"traceparent": TRACEPARENT, "tracestate": "app=1"}, stream=stream)
        retries = await sidecar.metric("sidestep_retries_total", provider="p1")
        moves = {"from": "p1", "to": "p2", "reason": "overloaded"}
        failovers = await sidecar.metric("sidestep_failovers_total", **moves)
    assert collector.tree(TRACE) == TREE.strip().splitlines()

    spans = collector.trace(TRACE)
    server, operation = spans[0], spans[1]
    calls = sorted((span for span in spans if span.kind == "CLIENT"), key=lambda span: span.start)
    assert (server.parent_id, server.trace_state) == (PARENT, "app=1")
    assert server.attributes["http.response.status_code"] == 200
    assert [event.name for event in operation.events] == ["retry", "failover"]
    told = [(span.attributes["sidestep.provider"], span.attributes.get("error.type")) for span in calls]
    assert told == [("p1", "503"), ("p1", "503"), ("p2", None)]
    assert [span.attributes["sidestep.attempt"] for span in calls] == [1, 2, 3]
    assert calls[-1].attributes["gen_ai.usage.output_tokens"] == 5

    # each provider was handed the span of its own attempt
    handed = [request.headers.get("traceparent") for request in [*p1.requests, *p2.requests]]
    assert handed == [f"00-{TRACE}-{span.span_id}-01" for span in calls]
    assert (retries, failovers) == (1, 1)
    assert "the secret plan" not in repr(spans), "content is off unless it is asked for"


async def test_a_trace_that_nobody_sampled_is_kept_when_it_failed_over(p1, p2, collector):
    async with running(routes({"p1": p1, "p2": p2}, **traced(collector, sample="0%"))) as sidecar:
        await sidecar.chat("fine")
        p1.fault = "status:500"
        await sidecar.chat("moved")
    assert len({span.trace_id for span in collector.spans}) == 1
    assert sum(span.kind == "CLIENT" for span in collector.spans) == 2


async def test_a_stream_that_broke_is_an_error_on_its_spans_although_its_status_was_200(p1, p2, collector):
    p1.fault = "cut:2"
    async with running(routes({"p1": p1, "p2": p2}, **traced(collector))) as sidecar:
        await sidecar.chat("a", {"traceparent": TRACEPARENT}, stream=True)
    ends = {span.kind: (span.status, span.attributes.get("error.type")) for span in collector.trace(TRACE)[::-1]}
    assert ends["SERVER"] == ("ERROR", "broken")
    assert ends["CLIENT"] == ("ERROR", "broken")


@pytest.mark.parametrize("endpoint", ["refused", "hanging"])
async def test_a_dead_collector_costs_spans_and_nothing_else(endpoint, p1, p2):
    """The second lab upstream stands in for a collector that accepts and never answers."""
    p2.fault = "hang_on_connect"
    if endpoint == "refused":
        await p2.go_down()
    traces = {"traces": {"exporter": "otlp", "endpoint": p2.url, "protocol": "http"}}
    async with running(routes({"p1": p1}, telemetry=traces)) as sidecar:
        answers = [await sidecar.chat(f"nonce-{number}") for number in range(50)]
        assert await sidecar.metric("sidestep_requests_total", outcome="ok") == 50
    assert {answer.status for answer in answers} == {200}


async def test_the_log_has_one_line_for_a_request_and_no_word_of_what_was_said(p1, p2):
    p1.fault = "status:503"
    async with process(routes({"p1": p1, "p2": p2})) as program:
        await program.chat("the secret plan", {"traceparent": TRACEPARENT, "x-request-id": "mine-3"})
        program.terminate()
        assert await program.ended() == 0
        text = program.stdout.read_text()
        (line,) = [line for line in program.log if line["message"] == "request"]
    assert (line["request_id"], line["trace_id"], line["provider"]) == ("mine-3", TRACE, "p2")
    assert [(rung["provider"], rung["class"]) for rung in line["attempts"]] == [("p1", "overloaded"), ("p2", "ok")]
    assert (line["level"], line["failover"], line["input_tokens"]) == ("warning", True, 7)
    assert "secret plan" not in text


async def test_a_request_without_an_id_is_found_by_the_id_of_the_trace_that_begins_with_it(p1):
    async with running(routes({"p1": p1})) as sidecar:
        first = await sidecar.chat("a")
        within = [await sidecar.chat("a", {"traceparent": TRACEPARENT}) for _ in range(2)]
    sent = [request.headers.get("traceparent").split("-")[1] for request in p1.requests]
    made = [answer.headers.get("x-request-id") for answer in within]
    assert sent == [first.headers.get("x-request-id"), TRACE, TRACE]
    assert len({*made, TRACE}) == 3  # several requests of one trace are told apart


async def test_label_values_are_bounded_whatever_clients_make_up(p1):
    async with running(routes({"p1": provider(p1, models={"default": "one"})})) as sidecar:
        await sidecar.chat("a")
        series = len((await sidecar.admin("/metrics")).body.splitlines())
        for number in range(30):
            await sidecar.chat("a", {f"x-{number}": "y", "x-request-id": f"r{number}"}, model=f"made-up-{number}")
        assert len((await sidecar.admin("/metrics")).body.splitlines()) == series
