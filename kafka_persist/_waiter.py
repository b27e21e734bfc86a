"""One task that waits for one thing.

Waking a task by hand is only right while it waits here: rescheduled anywhere else, Trio's run ends with an internal error.
Ctrl-C makes that happen: raised between the hand-over and the wait, it takes the task elsewhere, and the answer comes later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import trio

AbortFn: TypeAlias = Callable[[Any], trio.lowlevel.Abort]


def refuse_abort(_raise_cancel: object) -> trio.lowlevel.Abort:
    """Wait on, whoever cancels: what is waited for comes in bounded time."""
    return trio.lowlevel.Abort.FAILED


class Waiter:
    """Wakes the task that waits, if one does; cheaper than `trio.Event`, and its task may refuse to be cancelled."""

    __slots__ = ("_done", "_task")

    def __init__(self) -> None:
        self._done = False
        self._task: trio.lowlevel.Task | None = None

    @trio.lowlevel.enable_ki_protection  # an interrupt in the middle of it would leave a task to be woken twice, or never
    def wake(self) -> None:
        """The thing is there: end the wait, now or when it begins. Harmless when the task has left."""
        self._done = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    @trio.lowlevel.enable_ki_protection  # Trio raises it out of the wait itself, by way of `abort_fn`
    async def wait(self, abort_fn: AbortFn = refuse_abort) -> None:
        """Wait until `wake` was called, at most one task at a time.

        Cancellation: as `abort_fn` decides (see `trio.lowlevel.wait_task_rescheduled`).
        """
        if self._done:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return

        def abort(raise_cancel: Any) -> trio.lowlevel.Abort:
            answer = abort_fn(raise_cancel)
            if answer is trio.lowlevel.Abort.SUCCEEDED:
                self._task = None  # now, not when it runs: it is scheduled already, and a `wake` may come before that
            return answer

        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
