"""The spans that are written field by field are the spans that the SDK's own classes and encoder yield."""

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from lab import records
from lab.sdk_spans import SdkSpanMaker
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from proxy.errors import AllProvidersFailed, ClientError, ErrorClass, Failure, ProviderVerdict
from proxy.messages import ENDPOINTS, AnswerFacts, Operation
from proxy.record import Event, Step
from proxy.telemetry.envelope import Envelope
from proxy.telemetry.kept import KeptTrace
from proxy.telemetry.otlp import swapped
from proxy.telemetry.propagation import parse_tracestate
from proxy.telemetry.spans import SpanMaker

FIRST_ID = 0x1234_5678_9ABC_DEF0
RESOURCE = Resource({"service.name": "sidestep", "service.version": "1.2.3"}, schema_url="https://example.test/schema")
SCOPE = InstrumentationScope("sidestep", "1.2.3", "https://example.test/scope")


def written(record, *, content=False):
    """What is sent, as a collector reads it."""
    trace = KeptTrace(SpanMaker(bits=lambda _: FIRST_ID, content=content).spans(record), 0)
    message = Envelope(RESOURCE, SCOPE).around([trace])
    return ordered(ExportTraceServiceRequest.FromString(message.SerializeToString()))


def built(record, *, content=False):
    """What the SDK makes of the same record."""
    count = itertools.count(FIRST_ID)
    maker = SdkSpanMaker(resource=RESOURCE, scope=SCOPE, bits=lambda _: swapped(next(count)), content=content)
    return ordered(encode_spans(maker.spans(record)))


def ordered(request):
    """Sort attributes by name, because their order means nothing."""
    for span in request.resource_spans[0].scope_spans[0].spans:
        for holder in (span, *span.events):
            pairs = sorted(holder.attributes, key=lambda pair: pair.key)
            del holder.attributes[:]
            holder.attributes.extend(pairs)
    return request


TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(["", "alpha", "stop", "x" * 99, "é" * 100, "ü" * 2000])
NAMES = st.text("abc.é", max_size=6)
"""What only the code writes."""
NUMBERS = st.integers() | st.integers(0, 300) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400])
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf])
MOMENTS = st.just(0.0) | st.floats(0.0, 10_000.0)
ATTRIBUTES = st.dictionaries(NAMES, TEXT | NUMBERS | FLOATS | st.booleans(), max_size=4)
EVENTS = st.lists(st.builds(Event, NAMES, MOMENTS, ATTRIBUTES), max_size=3).map(tuple)
JSON = st.none() | st.booleans() | NUMBERS | FLOATS | TEXT | st.lists(TEXT, max_size=2)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": JSON,
        "top_p": JSON,
        "max_tokens": JSON,
        "max_completion_tokens": JSON,
        "seed": JSON,
        "n": JSON | st.just(1),
        "dimensions": JSON,
        "stop": JSON,
        "encoding_format": st.sampled_from(["float", "base64"]) | JSON,
        "response_format": JSON
        | st.fixed_dictionaries({"type": st.sampled_from(["text", "json_object", "other"]) | JSON}),
        "messages": st.just([{"role": "user", "content": "hello"}]) | JSON,
    },
)
REQUESTS = st.builds(
    records.request,
    id=TEXT,
    operation=st.sampled_from(Operation),
    path=st.sampled_from([*ENDPOINTS, "/v1/elsewhere"]),
    model=TEXT,
    stream=st.booleans(),
    document=DOCUMENTS,
)
FACTS = st.builds(
    AnswerFacts,
    id=st.none() | TEXT,
    model=st.none() | TEXT,
    finish_reasons=st.lists(TEXT, max_size=3).map(tuple),
    input_tokens=st.none() | NUMBERS,
    output_tokens=st.none() | NUMBERS,
    cached_tokens=st.none() | NUMBERS,
    reasoning_tokens=st.none() | NUMBERS,
)
FAILURES = st.builds(
    Failure,
    error_class=st.sampled_from(ErrorClass),
    message=TEXT,
    code=st.none() | TEXT,
    status=st.none() | st.sampled_from([200, 399, 400, 503]),
    sent=st.booleans(),
)
URLS = st.sampled_from(
    ["https://alpha.test/v1/x", "http://user:word@[::1]:8000/v1?key=1#x", "http://plain.test", "odd"]
)
ATTEMPTS = st.builds(
    records.call,
    st.integers(1, 9),
    st.sampled_from(["alpha", "beta"]),
    url=URLS,
    template=NAMES,
    model=TEXT,
    resend=st.integers(0, 2),
    span_id=st.integers(1, 2**64 - 1),
    started=MOMENTS,
    headers_at=st.none() | MOMENTS,
    first_output_at=st.none() | MOMENTS,
    ended=MOMENTS,
    status=st.none() | st.sampled_from([200, 400, 503]),
    failure=st.none() | FAILURES,
    facts=FACTS,
    waited=st.sampled_from([0.0, 0.25]),
    hedge=st.sampled_from(["", "winner", "loser", "failed"]),
    events=EVENTS,
)
STEPS = st.builds(Step, NAMES, MOMENTS, MOMENTS, ATTRIBUTES, st.none() | NAMES)
ERRORS = (
    st.none()
    | st.just(AllProvidersFailed("every provider failed"))
    | st.just(ClientError("no model"))
    | FAILURES.map(ProviderVerdict)
)
STATES = st.lists(st.sampled_from(["vendor=1", "a@b=x y", "k*/_-=~", "bad", "z=,"]), max_size=4).map(",".join)
RECORDS = st.builds(
    lambda attempts, **changes: records.record(*attempts, **changes),
    st.lists(ATTEMPTS, max_size=3),
    request=REQUESTS,
    trace_id=st.integers(1, 2**128 - 1).map("{:032x}".format),
    parent_span_id=st.none() | st.integers(1, 2**64 - 1),
    trace_state=STATES.map(parse_tracestate),
    started=MOMENTS,
    ended=MOMENTS,
    wall_offset=st.floats(0.0, 2e9),
    client_address=st.sampled_from(["", "127.0.0.1"]),
    route=TEXT,
    generation=TEXT,
    steps=st.lists(STEPS, max_size=4),
    events=EVENTS,
    provider=st.sampled_from(["", "alpha", "beta"]),
    status=st.sampled_from([0, 200, 400, 502]),
    error=ERRORS,
    broken=st.none() | FAILURES,
    cancelled=st.booleans(),
    degraded=st.sampled_from(["", "static"]),
    cache=st.sampled_from(["", "hit", "miss"]),
    age=st.none() | st.floats(0.0, 1e6),
    first_output_at=st.none() | MOMENTS,
    response_bytes=st.integers(0, 2**40),
    captured_output=st.none() | TEXT,
)


@settings(max_examples=300, deadline=None)
@given(RECORDS, st.booleans())
def test_any_record_arrives_as_the_spans_that_the_sdk_would_send(record, content):
    assert written(record, content=content) == built(record, content=content)
