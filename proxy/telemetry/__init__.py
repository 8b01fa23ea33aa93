"""What the world is told about requests: spans, metrics, log lines, all made from a finished `Record`.

    Record ── hub ─┬─ tracing.finish ── sampling.keep ── spans ── attributes, content ── OTLP
                   ├─ metrics.observe ── counting ── /metrics, with gauges and reading
                   └─ summary ─┬─ logs.log_requests ── request_line ── log_writer ── stdout
                               └─ whoever watches: the dashboard, `sidestep top`

Every name that goes out stands in this package and in docs/telemetry.md, and nowhere else.
"""
