"""What every process of the soak does beside its work: end when told, or with its parent, and log what it uses."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from ..history import History

PR_SET_PDEATHSIG: Final = 1
BEAT: Final = 0.5
MAX_THREADS: Final = 128
"""librdkafka has a thread for each client and broker; a service has about eight clients, and there may be three brokers."""

STOPPED: Final = 0.5
"""A beat that comes this much too late means that the process did not run."""


def die_with_parent() -> None:
    """Ask the kernel to end this process when the supervisor is gone, however it went."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


async def until_told(*async_fns: Callable[[], Awaitable[object]]) -> None:
    """Run tasks until SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            for async_fn in async_fns:
                nursery.start_soon(async_fn)
            async for _ in signals:
                nursery.cancel_scope.cancel(reason="SIGTERM")
                break


async def beat(history: History, also: Callable[[], None] = lambda: None) -> None:
    """Log when this process did not run, and what it uses.

    Args:
        history: where.
        also: called every two seconds.
    """
    last, beats, base = time.monotonic(), 0, 0
    while True:
        await trio.sleep(BEAT)
        now, beats = time.monotonic(), beats + 1
        if now - last > BEAT + STOPPED:
            history.line(op="stopped", seconds=now - last - BEAT)
        last = now
        if beats % 20 == 0:
            used = resources()
            base = base or used["rss"]
            history.line(op="resources", **used, max_rss=base + 64 * 1024 * 1024, max_threads=MAX_THREADS, max_fds=512)
        if beats % 4 == 0:
            also()


def resources() -> dict[str, int]:
    """Memory, threads and open files of this process."""
    proc = Path("/proc/self")
    pages = int((proc / "statm").read_text().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": len(list((proc / "task").iterdir())),
        "fds": len(list((proc / "fd").iterdir())),
    }
