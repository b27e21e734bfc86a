"""The Trio face of `TestServer`: the same, with everything that blocks in a worker thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from .server import TestServer

if TYPE_CHECKING:
    from .modes import Mode


@asynccontextmanager
async def open_test_server(mode: Mode | str = "zookeeper", **options: Any) -> AsyncIterator[TestServer]:
    """Run a `TestServer` for the time of a block.

    The server's own methods (`server.broker.kill()`, `server.create_topics(...)`) block; call them through
    `trio.to_thread.run_sync`.

    Cancellation: while it starts, a cancel waits until the start is done or has failed; the stop at the end is not cancelled.

    Args:
        mode: `zookeeper` or `kraft`.
        options: As for `TestServer`.

    Raises:
        ServerUnavailable: No engine can give a server.
        ServerFailed: A process ended, or did not answer in time.
    """
    server = TestServer(mode, **options)
    await _in_thread(server.start)
    try:
        yield server
    finally:
        await _in_thread(server.stop)


async def _in_thread(call: Callable[[], None]) -> None:
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(call)
