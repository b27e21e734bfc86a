"""The test kit's proxy before the mock cluster's one broker."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio

from kafka_persist_testkit import TcpProxy


@asynccontextmanager
async def open_proxy(mock, seed: int = 1):
    """Let all clients of a mock cluster of one broker go through a proxy; the journal's servers are `mock.bootstrap_servers`."""
    _, port = mock.bootstrap_servers.rsplit(":", 1)
    proxy = TcpProxy(int(port), seed=seed)
    mock.set_address("127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(proxy.close)
