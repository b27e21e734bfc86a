"""The Trio face of `TestServer`: the same, with everything that blocks in a worker thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .modes import Mode
from .server import TestServer


@asynccontextmanager
async def open_test_server(mode: Mode | str = Mode.ZOOKEEPER, **options: Any) -> AsyncIterator[TestServer]:
    """Run a `TestServer` for the time of a block.

    The server's own methods (`server.broker.kill()`, `server.create_topics(...)`) block; call them through
    `trio.to_thread.run_sync`.

    Cancellation: a start that is cancelled ends its processes and removes its files before it returns (jars that are being
    fetched are fetched first); the stop at the end of the block is not cancelled, and lasts seconds at most.

    Args:
        mode: `zookeeper` or `kraft`.
        options: Everything else that `TestServer` takes.

    Raises:
        ServerUnavailable: No engine can give a server; the message names every way to get one.
        ServerFailed: A process ended, or did not answer in time.
        InvalidSettings: An argument cannot be.
    """
    server = TestServer(mode, **options)
    await trio.to_thread.run_sync(server.start_with, trio.from_thread.check_cancelled)
    try:
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(server.stop)


open_test_server.__module__ = "kafka_persist_testkit"  # where users find it: in tracebacks and in the documentation
