"""A stage wraps the next one; composing them is five lines, and every stage is noted for its span there, once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.clock import Clock
from proxy.errors import Failure
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.record import Step

Result = TypeVar("Result")
Handler = Callable[[Call], Awaitable[Result]]


@dataclass(frozen=True)
class Stage(Generic[Result]):
    """A name for the span and what it does: `async (call, next) -> result`.

    A stage that does nothing on the way back needs no coroutine of its own: it may return that of the next.
    """

    name: str
    run: Callable[[Call, Handler[Result]], Awaitable[Result]]
    noted: bool = True
    """Whether each of its turns is written down. One that hardly ever decides anything has no span of its own."""


Answering = Stage[Reply]
"""A stage around the whole request: a reply, or a raised SidestepError."""
Turning = Stage[Reply | Failure]
"""A stage within one provider's turn: its failure is a value, because another turn may follow."""


async def ended(result: Result) -> Result:
    """What a stage returns that is no coroutine and hands nothing on."""
    return result


def compose(stages: Sequence[Stage[Result]], last: Handler[Result], clock: Clock) -> Handler[Result]:
    """Nest the stages, the first one outermost."""
    handler = last
    for stage in reversed(stages):
        handler = noted(stage, handler, clock) if stage.noted else unnoted(stage, handler)
    return handler


def noted(stage: Stage[Result], following: Handler[Result], clock: Clock) -> Handler[Result]:
    """Begin a step for every turn of a stage; it ends when the next one begins, so it tells the time of deciding."""
    name, run, now = stage.name, stage.run, clock.now

    def handler(call: Call) -> Awaitable[Result]:
        at = now()
        call.end_step(at)
        call.step = step = Step(name, at)
        call.record.steps.append(step)
        return run(call, following)

    return handler


def unnoted(stage: Stage[Result], following: Handler[Result]) -> Handler[Result]:
    """Bind a stage to the one behind it."""
    run = stage.run

    def handler(call: Call) -> Awaitable[Result]:
        return run(call, following)

    return handler
