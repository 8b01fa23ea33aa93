"""What the world is told about requests: spans, metrics, log lines, all made from a finished `Record`.

    Record ── hub ─┬─ tracing.finish ── sampling.keep ── spans ── attributes, content ── OTLP
                   ├─ metrics.observe ── counting ── /metrics, with gauges and reading
                   └─ logs.log_request ── request_line ── log_writer ── stdout

Every name that goes out stands in this package and in docs/telemetry.md, and nowhere else.
"""
