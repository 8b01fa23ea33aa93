"""The instrument checks itself before it measures: does it tell right answers from wrong ones, and count well?"""

from bench.ground import CouldNotMeasure, Ground, fetch

TWO_SPANS = b"\x0a\x06\x12\x04\x12\x00\x12\x00"
"""An ExportTraceServiceRequest with two empty spans."""


def check(ground: Ground) -> None:
    """Ask the upstream without a proxy; CouldNotMeasure says what the instrument got wrong."""
    for mix, events in (("plain:1", 0), ("stream:1", 7 * 20), ("plain:1,stream:1", None)):
        totals = ground.ask(ground.upstream, connections=4, requests=20, mix=mix, events=7).totals
        expect(f"{mix} without a proxy", "wrong answers", totals.wrong, 0)
        expect(f"{mix} without a proxy", "answers", totals.answered, 20)
        if events is not None:
            expect(f"{mix} without a proxy", "events", totals.events, events)
    for kind in ("failing", "closing", "cut"):
        totals = ground.ask(ground.moody, connections=2, requests=6, mix=f"{kind}:1", quiet=1).totals
        expect(f"{kind} without a proxy", "wrong answers", totals.wrong, 6)
    totals = ground.ask(ground.dead, connections=1, requests=3, quiet=1).totals
    expect("a dead port", "wrong answers", totals.wrong, 3)
    before = ground.spans()
    fetch(ground.collector, "/v1/traces", TWO_SPANS)
    expect("the collector", "spans", ground.spans() - before, 2)


def expect(where: str, what: str, found: int, expected: int) -> None:
    """Compare."""
    if found != expected:
        raise CouldNotMeasure(f"the instrument is wrong about {where}: {found} {what} instead of {expected}")
