"""A bound on the writes that wait, in calls and in bytes, which keeps the order of the calls.

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
    size: int
    called: trio.Event = attrs.field(factory=trio.Event)
    failure: PersistenceError | None = None


class Gate:
    """Admits `limit` calls of together at most `max_bytes` at a time, first come, first served.

    A larger call goes in alone. Nobody overtakes a call that waits for its size: else it could wait forever.
    """

    def __init__(self, limit: int, max_bytes: int) -> None:
        self._free = limit
        self._free_bytes = max_bytes
        self._inside = 0
        self._queue: deque[_Entry] = deque()

    def __repr__(self) -> str:
        return f"<Gate {self._free} free, {self._free_bytes} bytes free, {len(self._queue)} waiting>"

    async def enter(self, size: int, deadline: float, fn: Callable[[], None]) -> bool:
        """Call ``fn()`` when it is one's turn; without waiting, it is called before anything else can run.

        Args:
            size: bytes of the call.
            deadline: Trio's time until which it waits.
            fn: gives the call's writes to their logs.

        Returns:
            False if the time was up; ``fn`` was not called, and one is outside.

        Raises:
            PersistenceError: ``fn`` raised it; one is outside again then.

        Cancellation: takes effect only while waiting; ``fn`` was not called.
        """
        if not self._queue and self._has_room(size):
            fn()
            self._admit(size)
            return True
        entry = _Entry(fn, size)
        self._queue.append(entry)
        try:
            with trio.move_on_at(deadline):
                await entry.called.wait()
        except trio.Cancelled:  # noqa: ASYNC103 - after the call `fn` has run: not cancelled
            if not entry.called.is_set():
                self._withdraw(entry)
                raise
        if not entry.called.is_set():
            self._withdraw(entry)
            return False
        if entry.failure is not None:
            raise entry.failure
        return True

    def leave(self, size: int) -> None:
        """Make room; the next ones are called at once."""
        self._free += 1
        self._free_bytes += size
        self._inside -= 1
        self._call_next()

    def _withdraw(self, entry: _Entry) -> None:
        self._queue.remove(entry)
        self._call_next()  # a large one at the front may have kept smaller ones waiting

    def _call_next(self) -> None:
        while self._queue and self._has_room(self._queue[0].size):
            entry = self._queue.popleft()
            try:
                entry.fn()
                self._admit(entry.size)
            except PersistenceError as error:
                entry.failure = error
            entry.called.set()

    def _has_room(self, size: int) -> bool:
        return self._free > 0 and (size <= self._free_bytes or not self._inside)

    def _admit(self, size: int) -> None:
        self._free -= 1
        self._free_bytes -= size
        self._inside += 1
