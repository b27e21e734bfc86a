"""Calls that run as tasks of the store's nursery: closing the store ends them, their callers learn why.

The caller waits for its task. A cancelled caller cancels the task and waits until it has ended, which is soon, unless the
task is beyond its point of no return: then the caller waits for its result, like a write that was handed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import attrs
import trio

from .._lifecycle import Background
from .._waiter import Waiter
from ..errors import StoreClosed, WriteNotSent, WriteOutcomeUnknown

P = ParamSpec("P")
T = TypeVar("T")


class Job(Generic[T]):
    """One call while it runs."""

    def __init__(self) -> None:
        self.final = False
        self.ended = trio.Event()
        self._waiter = Waiter()
        self._scope = trio.CancelScope()
        self._values: list[T] = []
        self._error: Exception | None = None

    async def point_of_no_return(self) -> None:
        """From here on the caller's cancellation waits for the result; a cancellation up to now still counts."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.final = True

    def succeed(self, value: T) -> None:
        """Decide the result; whatever the task still does cannot change it."""
        if not self._values:
            self._values.append(value)

    async def work(self, async_fn: Callable[[], Awaitable[T]]) -> None:
        """Run the call; the task of the store's nursery."""
        try:
            with self._scope:
                self.succeed(await async_fn())
        except Exception as error:  # noqa: BLE001 - raised in the caller's task
            self._error = error
        finally:
            self.ended.set()
            self._waiter.wake()

    def abort(self, _raise_cancel: object = None) -> trio.lowlevel.Abort:
        """End the task, unless it is beyond its point of no return."""
        if not self.final:
            self._scope.cancel(reason="the call was cancelled, or the store was closed")
        return trio.lowlevel.Abort.FAILED

    async def result(self) -> T:
        """Wait for the task and return its result.

        Raises:
            WriteOutcomeUnknown, StoreClosed: the store was closed meanwhile.
        """
        await self._waiter.wait(self.abort)
        if self._error is not None:
            raise self._error
        if self._values:
            return self._values[0]
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.final:
            raise WriteOutcomeUnknown(
                "the snapshot store was closed before the outcome was known; calling again is safe"
            )
        raise StoreClosed("the snapshot store was closed during this call; nothing was changed")


class Jobs:
    """Starts them."""

    def __init__(self, tasks: Background) -> None:
        self._tasks = tasks
        self._running: set[Job[Any]] = set()

    async def run(
        self, async_fn: Callable[Concatenate[Job[T], P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``async_fn(job, *args)`` and return its result; errors come out bare."""
        job: Job[T] = Job()
        if not self._tasks.spawn(job.work, lambda: async_fn(job, *args, **kwargs)):
            raise StoreClosed("the snapshot store is closed")
        self._running.add(job)
        try:
            return await job.result()
        finally:
            self._running.discard(job)

    async def finish(self) -> None:
        """End the tasks that are not beyond their point of no return, and wait for the others."""
        for job in self._running:
            job.abort()
        for job in list(self._running):
            await job.ended.wait()


@attrs.define
class Preparation:
    """What a writing call does before it writes: one time for all of it.

    Attributes:
        doing: names the call in the error.
        seconds: how long it may take.
        waits_for: what it waits for now.
    """

    doing: str
    seconds: float
    waits_for: str = ""

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Leave the block when the time is over.

        Raises:
            WriteNotSent: it is.
        """
        with trio.move_on_after(self.seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise WriteNotSent(
                f"{self.doing}: nothing was written within {self.seconds:g} s (connect-timeout and "
                f"recovery-stall-timeout); it waited for {self.waits_for}. The brokers are slow or not there, or more is "
                "asked of them than they do; the same call may succeed later"
            )


@attrs.define(eq=False)
class _Turn:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    users: int = 0


class Turns:
    """One writing call per id at a time, in the order of the calls; ids that nobody uses are forgotten."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def of(self, persistence_id: str) -> AsyncIterator[None]:
        """Hold the id's turn inside the block."""
        turn = self._turns.setdefault(persistence_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[persistence_id]
