"""Ends the waiting of write calls whose time is up: one task for all calls.

A cancel scope with a deadline for each call would cost more than everything else that the journal does for it. All
calls have the same time, so the one that began first is the first whose time is up: looking at that one is enough.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import trio

from .batch import Batch


class Deadlines:
    """The calls under way, oldest first."""

    def __init__(self, spawn: Callable[..., bool]) -> None:
        self._spawn = spawn
        self._calls: OrderedDict[Batch, None] = OrderedDict()
        self._watching = False

    def __repr__(self) -> str:
        return f"<Deadlines of {len(self._calls)} calls>"

    def add(self, batch: Batch) -> None:
        """Watch a call that has just begun."""
        self._calls[batch] = None
        if not self._watching:
            self._watching = self._spawn(self._watch)

    def remove(self, batch: Batch) -> None:
        """Watch it no longer."""
        self._calls.pop(batch, None)

    async def _watch(self) -> None:
        """Wait for the oldest call's time; most calls are done long before, so this task rarely runs."""
        try:
            while self._calls:
                oldest = next(iter(self._calls))
                if trio.current_time() < oldest.deadline:
                    await trio.sleep_until(oldest.deadline)
                else:
                    del self._calls[oldest]
                    oldest.expire()
        finally:
            self._watching = False
