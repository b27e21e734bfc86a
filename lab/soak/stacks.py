"""Where every task and thread of a process is, on a signal: for a process that does not end."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Iterator
from typing import Any

import trio


def write_on_signals() -> None:
    """Write the tasks' stacks on SIGUSR1, the threads' on SIGUSR2, both to stderr; call it within Trio."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    trio.lowlevel.spawn_system_task(_write_tasks)


async def _write_tasks() -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            root = trio.lowlevel.current_root_task()
            if root is not None:
                sys.stderr.writelines(f"{line}\n" for line in _tree(root, 0))
                sys.stderr.flush()


def _tree(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}{task.name}"
    yield from (f"{indent}    {line}" for line in _stack(task.coro))
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _tree(child, depth + 1)


def _stack(waiting: Any) -> Iterator[str]:
    while waiting is not None:
        frame = next(
            (found for name in ("cr_frame", "gi_frame", "ag_frame") if (found := getattr(waiting, name, None))), None
        )
        if frame is None:
            return
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        names = ("cr_await", "gi_yieldfrom", "ag_await")
        waiting = next((found for name in names if (found := getattr(waiting, name, None))), None)
