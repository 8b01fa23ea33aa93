import logging
import os
import random
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from lab import records
from lab.otlp import grpc_receiver, http_receiver
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from proxy.config.snapshot import Telemetry, Traces
from proxy.telemetry.envelope import resource
from proxy.telemetry.kept import KeptTrace, messages
from proxy.telemetry.over_http import signal_endpoint
from proxy.telemetry.sender import NOISY, CountingExporter
from proxy.telemetry.spans import SpanMaker
from proxy.telemetry.tracing import QUEUE, Tracing

BITS = random.Random(11).getrandbits
TRACE = records.TRACE_ID


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"):
        monkeypatch.delenv(name, raising=False)


def tracing(endpoint, queue=QUEUE, **traces):
    settings = Telemetry(traces=Traces(endpoint=endpoint, **traces))
    return Tracing(settings, version="1.2.3", bits=BITS, instance_id="here", queue=queue)


@pytest.fixture(params=["grpc", "http"])
def received(request):
    """Finish records through a real exporter and return what a real receiver got."""
    protocol = request.param

    def run(*finished, **traces):
        with {"grpc": grpc_receiver, "http": http_receiver}[protocol]() as receiver:
            exporting = tracing(receiver.endpoint, protocol=protocol, **traces)
            for record in finished:
                exporting.finish(record)
            exporting.close(timeout=10.0)
            assert exporting.dropped == 0
            return receiver

    return run


def test_a_plain_success_arrives_as_a_tree(received):
    receiver = received(records.success())
    assert receiver.tree(TRACE) == [
        "SERVER POST /v1/chat/completions",
        "  INTERNAL chat fast",
        "    CLIENT POST /v1/chat/completions",
        "    INTERNAL strategy",
    ]
    assert receiver.spans[0].resource.items() >= {"service.name": "sidestep", "service.version": "1.2.3"}.items()
    assert receiver.spans[0].resource["service.instance.id"] == "here"


def test_a_failover_arrives_with_its_error_on_the_first_attempt_only(received):
    receiver = received(records.failover())
    assert receiver.tree(TRACE) == [
        "SERVER POST /v1/chat/completions",
        "  INTERNAL chat fast",
        "    INTERNAL strategy",
        "    CLIENT POST /v1/chat/completions ERROR",
        "    INTERNAL strategy",
        "    CLIENT POST /v1/chat/completions",
    ]
    operation = next(span for span in receiver.spans if span.name == "chat fast")
    assert operation.attributes["gen_ai.provider.name"] == "beta"
    assert operation.events[0].attributes == {"from": "alpha", "to": "beta", "reason": "overloaded"}


def test_a_cut_stream_arrives_as_an_error_from_top_to_bottom(received):
    receiver = received(records.broken_stream())
    assert receiver.tree(TRACE) == [
        "SERVER POST /v1/chat/completions ERROR",
        "  INTERNAL chat fast ERROR",
        "    CLIENT POST /v1/chat/completions ERROR",
    ]
    assert {span.attributes["error.type"] for span in receiver.spans} == {"broken"}


def test_a_client_that_left_arrives_without_an_error(received):
    receiver = received(records.cancelled())
    assert receiver.tree(TRACE) == [
        "SERVER POST /v1/chat/completions",
        "  INTERNAL chat fast",
        "    CLIENT POST /v1/chat/completions",
    ]


def test_all_providers_failing_arrives_with_every_attempt(received):
    receiver = received(records.all_failed())
    assert receiver.tree(TRACE) == [
        "SERVER POST /v1/chat/completions ERROR",
        "  INTERNAL chat fast ERROR",
        *["    CLIENT POST /v1/chat/completions ERROR"] * 3,
    ]
    assert receiver.spans[0].attributes["error.type"] == "all_providers_failed"
    assert receiver.spans[0].attributes["http.response.status_code"] == 502


def test_of_the_traces_sampled_out_only_those_worth_keeping_arrive(received):
    good = records.success(sampled=False, trace_id=f"{1:032x}")
    bad = records.all_failed(sampled=False, trace_id=f"{2:032x}")
    moved = records.failover(sampled=False, trace_id=f"{3:032x}")
    receiver = received(good, bad, moved)
    assert {span.trace_id for span in receiver.spans} == {f"{2:032x}", f"{3:032x}"}


def test_the_exporters_own_variables_count(received, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    receiver = received(records.success())
    assert len(receiver.tree(TRACE)) == 4
    assert [headers["x-tenant"] for headers in receiver.headers] == ["blue"]
    assert receiver.headers[0].get("content-encoding", "gzip") == "gzip"


def test_over_http_a_bare_endpoint_gets_the_path_for_traces():
    with http_receiver() as receiver:
        exporting = tracing(receiver.endpoint, protocol="http")
        exporting.finish(records.success())
        exporting.close(timeout=10.0)
        assert receiver.paths == ["/v1/traces"]


@pytest.mark.parametrize(
    ("endpoint", "variables", "heavy"),
    [
        ("http://127.0.0.1:4", {}, False),
        ("http://127.0.0.1:4", {"HTTP_PROXY": "http://127.0.0.1:5"}, True),
        ("https://127.0.0.1:4", {}, True),
    ],
)
def test_requests_is_loaded_only_for_what_needs_it(endpoint, variables, heavy):
    script = f"""if True:
        import sys
        from proxy.telemetry.over_http import HttpExporter

        HttpExporter({endpoint!r}, None)
        print("requests" in sys.modules)
    """
    bare = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=bare | variables, check=True
    )
    assert told.stdout.strip() == str(heavy)


@pytest.mark.parametrize(
    ("endpoint", "used"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/custom", "http://127.0.0.1:4318/custom"),
    ],
)
def test_a_url_with_a_path_is_used_as_it_is(endpoint, used):
    assert signal_endpoint(endpoint) == used


def test_the_standard_variables_name_the_service(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.instance.id=pod%201")
    told = dict(resource("sidestep", "1", "here").attributes)
    assert told["service.name"] == "from-environment"
    assert told["deployment.environment.name"] == "test"
    assert told["service.instance.id"] == "pod 1"


@pytest.mark.parametrize(
    ("traces", "environment"),
    [
        (Traces(endpoint=""), {}),
        (Traces(endpoint="http://127.0.0.1:1", exporter="none"), {}),
        (Traces(endpoint="http://127.0.0.1:1"), {"OTEL_SDK_DISABLED": "TRUE"}),
    ],
)
def test_switched_off_it_starts_no_thread_and_drops_nothing(monkeypatch, traces, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = threading.active_count()
    exporting = Tracing(Telemetry(traces=traces), version="1", bits=BITS)
    exporting.finish(records.success())
    assert threading.active_count() == before
    assert exporting.dropped == 0
    exporting.close()


class Stuck(TraceServiceServicer):
    """A collector that takes a call and never answers."""

    def __init__(self):
        self.called = threading.Event()
        self.released = threading.Event()

    def Export(self, request, context):  # noqa: N802  gRPC's name
        self.called.set()
        self.released.wait(30)
        context.abort(grpc.StatusCode.INTERNAL, "stuck")


@pytest.fixture
def stuck(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    service = Stuck()
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    add_TraceServiceServicer_to_server(service, server)
    service.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    service.released.set()
    server.stop(grace=None).wait()


def test_a_hanging_collector_costs_whole_traces_and_counts_them(stuck):
    size = len(SpanMaker(bits=BITS).spans(records.success()))
    exporting = tracing(stuck.endpoint, queue=size + 1)
    exporting.finish(records.success())
    assert stuck.called.wait(10)
    for _ in range(5):
        exporting.finish(records.success())
    assert exporting.dropped == 3 * 4
    exporting.close(timeout=0.2)


def test_closing_gives_a_hanging_collector_up(stuck):
    exporting = tracing(stuck.endpoint)
    exporting.finish(records.success())
    assert stuck.called.wait(10)
    exporting.close(timeout=0.2)
    assert not stuck.released.is_set()


def test_after_closing_nothing_is_taken_any_more():
    with grpc_receiver() as receiver:
        exporting = tracing(receiver.endpoint)
        exporting.close(timeout=10.0)
        exporting.finish(records.success())
        assert receiver.spans == []


def test_a_batch_is_divided_into_messages_that_a_collector_takes():
    traces = [KeptTrace(b"x" * size, 1) for size in (40, 60, 1, 500, 99)]
    divided = [[len(trace.spans) for trace in message] for message in messages(traces, most=100)]
    assert divided == [[40, 60], [1], [500], [99]]


class Scripted(SpanExporter):
    """Answers as it is told, and complains as the SDK's exporters do."""

    def __init__(self, *results):
        self.results = list(results)

    def export(self, spans):
        logging.getLogger(NOISY[0]).error("Failed to export traces")
        return self.results.pop(0)

    def shutdown(self):
        self.results.clear()


def test_a_collector_that_fails_is_told_of_once_until_it_works_again(caplog):
    caplog.set_level(logging.INFO)
    bad, good = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    scripted = Scripted(bad, bad, bad, good, good)
    counting = CountingExporter(lambda: scripted)
    for _ in range(5):
        counting.export([KeptTrace(b"12345", 2)])
    assert [entry.getMessage() for entry in caplog.records] == [
        "span export is failing; spans are dropped",
        "span export works again",
    ]
    assert (counting.taken, counting.taken_bytes, counting.lost) == (10, 25, 6)


def test_an_exporter_that_cannot_be_made_costs_spans_and_is_told_of(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none of these")
    exporting = tracing("http://127.0.0.1:1")
    exporting.finish(records.success())
    exporting.close(timeout=10.0)
    assert exporting.dropped == 4
    assert "none of these" in caplog.text
    assert "span export is failing; spans are dropped" in caplog.text


LOADED = """
import sys
sys.path[:0] = {path!r}
from lab import records
from proxy.config.snapshot import Telemetry, Traces
from proxy.telemetry.tracing import Tracing
tracing = Tracing(Telemetry(traces=Traces(endpoint={endpoint!r})), version="1", bits=lambda _: 7)
print("opentelemetry" in sys.modules, "grpc" in sys.modules)
if tracing._sender:
    tracing.finish(records.success())
    tracing.close(10.0)
    print("grpc" in sys.modules)
"""


@pytest.mark.parametrize(("endpoint", "loaded"), [("", "False False\n"), ("http://127.0.0.1:1", "True False\nTrue\n")])
def test_nothing_is_loaded_before_it_is_needed(endpoint, loaded):
    code = LOADED.format(path=sys.path, endpoint=endpoint)
    environment = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "PATH": ""}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout == loaded


def test_another_user_of_the_sdk_in_the_same_process_is_still_heard(caplog):
    class Meanwhile(Scripted):
        def export(self, spans):
            other = threading.Thread(target=logging.getLogger(NOISY[0]).error, args=("another exporter",))
            other.start()
            other.join()
            return super().export(spans)

    CountingExporter(lambda: Meanwhile(SpanExportResult.SUCCESS)).export([KeptTrace(b"", 1)])
    assert [entry.getMessage() for entry in caplog.records] == ["another exporter"]


def test_a_refused_connection_costs_only_spans(caplog, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        exporting = tracing(f"http://127.0.0.1:{unused.getsockname()[1]}")
        exporting.finish(records.success())
        exporting.close(timeout=10.0)
    assert exporting.dropped == 4
