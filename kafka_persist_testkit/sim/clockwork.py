"""Things that happen later, in a fixed order: by their time, then by when they were asked for."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Clockwork:
    """Calls functions at their time, on Trio's clock; `run` is its task."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = trio.Event()

    def after(self, seconds: float, fn: Callable[[], None]) -> None:
        """Call ``fn()`` in `seconds`; never before this returns."""
        heapq.heappush(self._due, (trio.current_time() + seconds, next(self._numbers), fn))
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._changed = trio.Event()
            if not self._due:
                await self._changed.wait()
            else:
                with trio.move_on_at(self._due[0][0]):
                    await self._changed.wait()
            while self._due and self._due[0][0] <= trio.current_time():
                heapq.heappop(self._due)[2]()
