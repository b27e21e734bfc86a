"""Cancelling an operation at each of its steps, one after the other: no await point is left out.

Trio runs a task in steps: from one time that it waits to the next. `cancelled_at_step` counts them and cancels in the nth: as it
begins (the task meets the cancellation where it waits next), behind it (while the task waits), or at a step of any task,
for what others do on behalf of the operation. What holds for every n until the operation comes through holds wherever a
cancellation strikes.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable

import attrs
import trio


class When(enum.Enum):
    """Which steps are counted, and when the cancellation comes."""

    BEGINS = "as a step of the task begins"
    WAITS = "behind a step of the task, while it waits"
    ANY = "as a step of any task begins"


@attrs.define(eq=False)
class _StepCounter(trio.abc.Instrument):
    """Cancels a scope at a task's nth step."""

    task: trio.lowlevel.Task
    scope: trio.CancelScope
    number: int
    when: When
    steps: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cancel."""
        if task is self.task or self.when is When.ANY:
            self.steps += 1
            if self.steps == self.number and self.when is not When.WAITS:
                self.scope.cancel(reason=f"step {self.number} begins")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Cancel while the task waits."""
        if task is self.task and self.steps == self.number and self.when is When.WAITS:
            self.scope.cancel(reason=f"step {self.number} is over")


async def cancelled_at_step(number: int, async_fn: Callable[..., Awaitable[object]], *args: object, when: When) -> bool:
    """Run ``async_fn(*args)`` and cancel it at its step `number`.

    Args:
        number: From 1 on.
        async_fn: The operation.
        args: Its arguments.
        when: Which steps are counted, and when the cancellation comes.

    Returns:
        Whether it took that many steps. If not, it came through, and there are no further steps to try.
    """
    scope = trio.CancelScope()
    counter = _StepCounter(trio.lowlevel.current_task(), scope, number, when)
    with scope:
        trio.lowlevel.add_instrument(counter)
        try:
            await async_fn(*args)
        finally:
            trio.lowlevel.remove_instrument(counter)
    return counter.steps >= number
