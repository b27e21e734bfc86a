"""What a process holds, by name: tasks, threads, file descriptors. What is left after a store's block is a leak."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

DESCRIPTORS = Path("/proc/self/fd")
OWN_THREADS = ("Trio thread", "pytest_timeout")
"""Trio's idle workers (one that works is named after its work), and pytest's."""


def living_tasks() -> set[trio.lowlevel.Task]:
    """Return all tasks of this Trio run."""
    root = trio.lowlevel.current_root_task()
    found: set[trio.lowlevel.Task] = set()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        found.add(task)
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def named(tasks: set[trio.lowlevel.Task]) -> str:
    """Name tasks, for people."""
    return ", ".join(sorted(task.name for task in tasks))


def threads() -> Counter[str]:
    """Return the threads that belong to somebody: not the main one, and not Trio's idle workers."""
    return Counter(
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith(OWN_THREADS)
    )


def working_threads(before: Counter[str]) -> Counter[str]:
    """Return the threads that work and did not before; look several times, as one that was only just started has no name yet.

    Blocks this thread on purpose: what the event loop does meanwhile must not count. The threads take turns so quickly that
    one that computes for a millisecond is seen.
    """
    with quick_turns():
        for _ in range(20):
            time.sleep(0.0001)  # the other threads run
            found = threads() - before
            if found:
                return found
    return Counter()


@contextmanager
def quick_turns() -> Generator[None]:
    """Let threads take turns every 10 microseconds instead of 5 milliseconds: what can come in between does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def descriptors() -> Counter[str]:
    """Return the open descriptors of this process by what they lead to, where the system tells."""
    found: Counter[str] = Counter()
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if not target.startswith((str(DESCRIPTORS), "/proc/")):
            found[
                f"descriptor of {target.split(':', maxsplit=1)[0] if target.startswith(('socket', 'pipe')) else target}"
            ] += 1
    return found


def held() -> Counter[str]:
    """Return the threads and the descriptors."""
    return threads() + descriptors()


REST: Final = 1.0
"""Seconds without a change after which nothing more is expected to come."""


async def at_rest(measure: Callable[[], Counter[str]], seconds: float) -> Counter[str]:
    """Return what there is once it stays the same: a store may open connections in the background, after its first write.

    Args:
        measure: what there is now.
        seconds: after this time it is returned as it is.
    """
    found, since = measure(), trio.current_time()
    with trio.move_on_after(seconds):
        while trio.current_time() < since + REST:
            await trio.sleep(0.05)
            if (now := measure()) != found:
                found, since = now, trio.current_time()
    return found


async def settled(measure: Callable[[], Counter[str]], before: Counter[str], seconds: float) -> Counter[str]:
    """Return what is more than before, after waiting for it to go."""
    gc.collect()
    with trio.move_on_after(seconds):
        while measure() - before:  # noqa: ASYNC110 - threads and descriptors cannot be awaited
            await trio.sleep(0.02)
    return measure() - before


def listed(surplus: Counter[str]) -> str:
    """Describe what is left."""
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in sorted(surplus.items()))
