"""A stage wraps the next one; composing them is five lines, and every stage is noted for its span there, once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.clock import Clock
from proxy.errors import Failure, SidestepError
from proxy.messages import Reply
from proxy.pipeline.call import Call
from proxy.record import Step

Result = TypeVar("Result")
Handler = Callable[[Call], Awaitable[Result]]


@dataclass(frozen=True)
class Stage(Generic[Result]):
    """A name for the span and what it does: `async (call, next) -> result`."""

    name: str
    run: Callable[[Call, Handler[Result]], Awaitable[Result]]


Answering = Stage[Reply]
"""A stage around the whole request: a reply, or a raised SidestepError."""
Turning = Stage[Reply | Failure]
"""A stage within one provider's turn: its failure is a value, because another turn may follow."""


def compose(stages: Sequence[Stage[Result]], last: Handler[Result], clock: Clock) -> Handler[Result]:
    """Nest the stages, the first one outermost."""
    handler = last
    for stage in reversed(stages):
        handler = noted(stage, handler, clock)
    return handler


def noted(stage: Stage[Result], following: Handler[Result], clock: Clock) -> Handler[Result]:
    """Run a stage and note how long it took to decide: from its start until it hands on, or refuses."""

    async def handler(call: Call) -> Result:
        step = Step(stage.name, clock.now())
        call.record.steps.append(step)
        call.step = step

        async def hand_on(call: Call) -> Result:
            if not step.ended:
                step.ended = clock.now()
            return await following(call)

        try:
            return await stage.run(call, hand_on)
        except SidestepError as error:
            if not step.ended:
                step.error = error.code
            raise
        finally:
            if not step.ended:
                step.ended = clock.now()

    return handler
