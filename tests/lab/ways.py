"""The ways in which a provider of a pair is broken, before its first output and after it, as tables to go through."""

from dataclasses import dataclass

from lab.fault import Fault, status
from lab.upstream import Upstream

DOWN = Fault(name="down")
"""Nobody listens at its port."""

BEFORE: dict[str, str | Fault] = {
    "refused": DOWN,
    "accepts and never reads": "hang_on_connect",
    "reads and never answers": "hang",
    "headers and no body": "hang_after_headers",
    "reset before an answer": "reset",
    "closed before an answer": "close",
    "not HTTP": "garbage",
    "500": "status:500",
    "503 with a page": "status_html:503",
    "429 with Retry-After": status(429, retry_after="1"),
    "401": "status:401",
    "200 with an error": "error_body",
    "200 with no choices": "empty_choices",
    "200 with a page": "html",
    "200 that is not JSON": "not_json",
    "200 and cut before the first token": "role_then_close",
    "role, then an error": "role_then_error",
    "role, then silence": "role_then_stall",
    "an empty stream": "empty_stream",
    "compressed against our word": "false_gzip",
}
"""Every one of these strikes before anything of an answer can have been shown to a client."""

AFTER: dict[str, str] = {
    "cut after the first token": "cut:1",
    "cut after three tokens": "cut:3",
    "reset after two tokens": "cut_reset:2",
    "cut within an event": "cut_in_event:2",
    "a proper end without a finish reason": "cut_clean:2",
    "cut without framing": "cut_stream_close_delimited:2",
    "stalled": "stall:2",
    "only comments after two tokens": "stall_with_comments:2",
    "an error event": "error_mid:2",
    "an error event and a DONE": "error_mid_done:2",
    "DONE without a finish reason": "done_without_finish:2",
}
"""These break a stream that is under way; a plain request meets a cut, silent or useless answer instead."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a table, named for the test report."""

    name: str
    fault: str | Fault

    def __str__(self) -> str:
        return self.name


def cases(table: dict[str, str | Fault] | dict[str, str]) -> list[Case]:
    """Return the table as parameters."""
    return [Case(name, fault) for name, fault in table.items()]


async def strike(upstream: Upstream, case: Case) -> None:
    """Break the provider in this way, from now on."""
    if case.fault is DOWN:
        await upstream.go_down()
    else:
        upstream.fault = case.fault
