"""A bound on the writes that wait, which keeps the order of the calls.

A semaphore would not do: tasks that it wakes run in any order, and writes of one id must be enqueued in the order in
which `write` was called. Here whoever leaves runs the next one's hand-over itself, and only then wakes its task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import trio

from ..errors import PersistenceError


@attrs.define(eq=False)
class _Entry:
    fn: Callable[[], None]
    called: trio.Event = attrs.field(factory=trio.Event)
    failure: PersistenceError | None = None


class Gate:
    """Admits `limit` at a time, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._queue: deque[_Entry] = deque()

    def __repr__(self) -> str:
        return f"<Gate {self._free} free, {len(self._queue)} waiting>"

    async def enter(self, fn: Callable[[], None]) -> None:
        """Call ``fn()`` when it is one's turn; without waiting, it is called before anything else can run.

        Raises:
            PersistenceError: ``fn`` raised it; one is outside again then.

        Cancellation: takes effect only while waiting; ``fn`` was not called.
        """
        if self._free and not self._queue:
            fn()
            self._free -= 1
            return
        entry = _Entry(fn)
        self._queue.append(entry)
        try:
            await entry.called.wait()
        except trio.Cancelled:  # noqa: ASYNC103 - after the call `fn` has run: not cancelled
            if not entry.called.is_set():
                self._queue.remove(entry)
                raise
        if entry.failure is not None:
            raise entry.failure

    def leave(self) -> None:
        """Make room; the next ones are called at once."""
        self._free += 1
        while self._free and self._queue:
            entry = self._queue.popleft()
            try:
                entry.fn()
                self._free -= 1
            except PersistenceError as error:
                entry.failure = error
            entry.called.set()
