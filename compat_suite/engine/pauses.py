"""Stops a store's threads at one line after another: what is only rarely interrupted at a bad place is so for certain.

Which of two calls at the same moment comes first inside a store that works in threads is the scheduler's choice, and that is nearly always
the same one. So the thread that runs the n-th line of the store's own code is made to wait until the other call has returned, or a
moment if that waits in turn. Stores that work in no threads run as they are.
"""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
import trio.testing

from .own_code import is_own

LONGEST: Final = 0.02
"""Seconds that a pause lasts where nobody ends it: the other call may wait for the one that pauses."""
COUNTING: Final = 3
"""How many turns only count."""


class ThreadPause:
    """Counts the lines that the store's threads run, and stops one thread at one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0
        self._seen = 0
        self._counts: list[int] = []
        self._ended = threading.Event()
        self.is_active = True

    def begin(self, turn: int, of: int) -> None:
        """Let the thread wait that runs a certain line from now on: another one in each turn, spread over all that there are.

        Args:
            turn: which; the first ones only count lines.
            of: how many there will be.
        """
        # The fewest: where a call had to wait for others, lines of those were counted, too.
        lines = min(self._counts, default=0)
        self.begin_at(0 if turn < COUNTING else 1 + (turn - COUNTING) * lines // (of - COUNTING))

    def begin_at(self, line: int) -> None:
        """Let the thread wait that runs the `line`-th line from now on."""
        self._ended = threading.Event()
        self._seen = 0
        self._left = line

    def end(self) -> None:
        """End the pause, also one that has not begun."""
        if len(self._counts) < COUNTING:
            self._counts.append(self._seen)
        self._left = 0
        self._ended.set()

    def trace(self, frame: types.FrameType, event: str, _argument: object) -> Any:
        """Be the trace function of a thread."""
        if not self.is_active:
            sys.settrace(None)  # Trio keeps its threads for others
            return None
        if not is_own(frame.f_code.co_filename):
            return None
        if event == "line" and self._is_reached():
            self._ended.wait(LONGEST)
        return self.trace

    def _is_reached(self) -> bool:
        with self._lock:
            self._seen += 1
            return self._seen == self._left


@asynccontextmanager
async def pauses() -> AsyncGenerator[ThreadPause]:
    """Trace the threads that are started within the block; those that Trio has idle are kept busy, so that there are new ones.

    Does nothing where somebody else traces threads, such as a debugger.
    """
    made = ThreadPause()
    if threading.gettrace() is not None:
        yield made
        return
    begun, done = threading.Semaphore(0), threading.Event()
    idle = sum(thread.name.startswith("Trio thread") for thread in threading.enumerate())
    limiter = trio.CapacityLimiter(idle + 1)
    async with trio.open_nursery() as nursery:
        try:
            for _ in range(idle):
                nursery.start_soon(_occupy, begun, done, limiter)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(idle):
                begun.acquire(
                    timeout=1
                )  # blocks for a moment, on purpose: an autojump clock would take a wait of Trio's for idleness
            threading.settrace(made.trace)
            yield made
        finally:
            threading.settrace(None)
            made.end()
            made.is_active = False
            done.set()


async def _occupy(begun: threading.Semaphore, done: threading.Event, limiter: trio.CapacityLimiter) -> None:
    def hold() -> None:
        begun.release()  # the thread has its name now: nobody takes it for a store's
        done.wait()

    await trio.to_thread.run_sync(hold, limiter=limiter)
