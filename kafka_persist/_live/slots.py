"""A number of slots, given out in the order in which they were asked for."""

from __future__ import annotations

from collections import deque

import trio


class Slots:
    """Like `trio.CapacityLimiter`, but it tells how many wait without making a list, and asking is apart from waiting.

    Attributes:
        free: slots that nobody has.
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, count: int) -> None:
        self.free = count
        self._waiting: deque[trio.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many asked and have none yet."""
        return len(self._waiting)

    def ask(self) -> trio.Event:
        """Ask for a slot; the event is set once there is one. Then, or when nobody waits any more, `give_back`."""
        asked = trio.Event()
        if self.free:
            self.free -= 1
            asked.set()
        else:
            self._waiting.append(asked)
        return asked

    def give_back(self, asked: trio.Event) -> None:
        """Give a slot back, or withdraw the question."""
        if not asked.is_set():
            self._waiting.remove(asked)
        elif self._waiting:
            self._waiting.popleft().set()
        else:
            self.free += 1
