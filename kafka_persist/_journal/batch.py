"""One `write` call: the atomic writes in it, and the task that waits until each of them is settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import trio

from ..errors import PersistenceError, WriteError, WriteOutcomeUnknown, WriterFenced
from ..model import Rejection

Result: TypeAlias = Rejection | PersistenceError | None


class Batch:
    """Collects one result per atomic write; `wait` returns when all are there.

    Everything runs on the Trio thread: `settle` is called from the callbacks of delivery reports.
    """

    __slots__ = ("_pending", "_task", "items", "results")

    def __init__(self, count: int) -> None:
        self.results: list[Result] = [None] * count
        self.items: list[Item] = []
        self._pending = 0
        self._task: trio.lowlevel.Task | None = None

    def add(self, item: Item) -> None:
        """Count one more atomic write whose result is awaited."""
        self.items.append(item)
        self._pending += 1

    def settle(self, index: int, result: Result) -> None:
        """Note one result; the last one wakes the waiting task."""
        self.results[index] = result
        self._pending -= 1
        if self._pending == 0 and self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        """Wait until all are settled.

        Cancellation: takes effect only while none of the writes has been handed over; they are then withdrawn.
        """
        if self._pending == 0:
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        if any(item.handed_over for item in self.items):
            return trio.lowlevel.Abort.FAILED
        for item in self.items:
            item.withdrawn = True
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def answer(self) -> Sequence[Rejection | None]:
        """Return the results, or raise the gravest error among them.

        Raises:
            PersistenceError: unknown outcomes first, then fenced writers, then the rest.
        """
        errors = [result for result in self.results if isinstance(result, PersistenceError)]
        if not errors:
            return [result for result in self.results if not isinstance(result, PersistenceError)]
        gravest = min(errors, key=_gravity)
        if isinstance(gravest, WriteError):
            gravest.results = tuple(self.results)
        raise gravest


def _gravity(error: PersistenceError) -> int:
    if isinstance(error, WriteOutcomeUnknown):
        return 0
    return 1 if isinstance(error, WriterFenced) else 2


@attrs.define(eq=False)
class Item:
    """One atomic write on its way.

    Attributes:
        batch: the call that it belongs to.
        index: its place in that call.
        writer: 16 bytes.
        first: its first sequence number.
        last: its last sequence number.
        entries: its encoded events.
        size: their bytes.
        topics: the user-defined topics of each event; () if none has any.
        handed_over: it is, or was, in a record given to the driver.
        withdrawn: its call was cancelled before the hand-over.
        alone: must not share a record (one that it shared was refused for its size).
    """

    batch: Batch
    index: int
    writer: bytes
    first: int
    last: int
    entries: list[bytes]
    size: int
    topics: Sequence[tuple[str, ...]] = ()
    handed_over: bool = False
    withdrawn: bool = False
    alone: bool = False

    def settle(self, result: Result) -> None:
        """Give the result to the waiting call."""
        self.batch.settle(self.index, result)
