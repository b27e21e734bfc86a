"""A bound on the writes that wait, which keeps the order of the calls.

A semaphore would not do: tasks that it wakes run in any order, and writes of one id must be enqueued in the order in
which `write` was called. Here whoever leaves runs the next one's hand-over itself, and only then wakes its task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import outcome
import trio


@attrs.define(eq=False)
class _Entry:
    fn: Callable[[], None]
    admitted: trio.Event = attrs.field(factory=trio.Event)
    result: outcome.Outcome[None] | None = None


class Gate:
    """Admits `limit` at a time, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._queue: deque[_Entry] = deque()

    def __repr__(self) -> str:
        return f"<Gate {self._free} free, {len(self._queue)} waiting>"

    async def enter(self, fn: Callable[[], None]) -> None:
        """Call ``fn()`` when it is one's turn; without waiting, it is called before anything else can run.

        Raises: what ``fn`` raises; one is outside again then.

        Cancellation: takes effect only while waiting; ``fn`` was not called.
        """
        if self._free and not self._queue:
            fn()
            self._free -= 1
            return
        entry = _Entry(fn)
        self._queue.append(entry)
        try:
            await entry.admitted.wait()
        except trio.Cancelled:
            if entry.result is None:
                self._queue.remove(entry)
                raise
        assert entry.result is not None
        entry.result.unwrap()

    def leave(self) -> None:
        """Make room; the next ones are called at once."""
        self._free += 1
        while self._free and self._queue:
            entry = self._queue.popleft()
            entry.result = outcome.capture(entry.fn)
            if isinstance(entry.result, outcome.Value):
                self._free -= 1
            entry.admitted.set()
