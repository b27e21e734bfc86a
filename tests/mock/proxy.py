"""Stands between clients and the mock cluster's broker, and mistreats what goes through."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import trio

CHUNK = 65_536


class Proxy:
    """Faults are switched on and off by its attributes.

    Attributes:
        cut_after: break the connection behind so many more bytes to the broker; None: do not.
        deaf: answers do not come through, on connections that are open now.
        flip: change a bit where these bytes first stand in what comes from the broker; None: do not.
        flips: how many were changed.
        cuts: how many connections were broken.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.cut_after: int | None = None
        self.flip: bytes | None = None
        self.flips = self.cuts = 0
        self._random = random.Random(seed)
        self._held: set[trio.SocketStream] = set()
        self._open: set[trio.SocketStream] = set()
        self._deaf: set[trio.SocketStream] = set()
        self._released = trio.Event()
        self._holding = False

    def hold(self) -> None:
        """Keep back what all connections send, until `release`."""
        self._holding, self._held, self._released = True, set(self._open), trio.Event()

    def admit(self) -> None:
        """Let connections through that are made from now on."""
        self._holding = False

    def release(self) -> None:
        """Let what was held arrive."""
        self._holding, self._held = False, set()
        self._released.set()

    def deafen(self) -> None:
        """Let no answers through any more, on the connections of now."""
        self._deaf = set(self._open)

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection."""
        self._open.add(client)
        if self._holding:
            self._held.add(client)
        try:
            broker = await trio.open_tcp_stream("127.0.0.1", self.port)
            async with broker, client, trio.open_nursery() as nursery:
                nursery.start_soon(self._requests, client, broker, nursery.cancel_scope)
                nursery.start_soon(self._answers, client, broker, nursery.cancel_scope)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            self._open.discard(client)

    async def _requests(self, client, broker, scope) -> None:
        async for data in client:
            while client in self._held:
                await self._released.wait()
            if self.cut_after is not None and len(data) >= self.cut_after:
                part, self.cut_after = data[: self.cut_after], None
                self.cuts += 1
                await broker.send_all(part)
                break
            if self.cut_after is not None:
                self.cut_after -= len(data)
            await broker.send_all(data)
        scope.cancel(reason="the connection ends")

    async def _answers(self, client, broker, scope) -> None:
        async for data in broker:
            if client in self._deaf:
                continue
            await client.send_all(self._flipped(data))
        scope.cancel(reason="the connection ends")

    def _flipped(self, data: bytes) -> bytes:
        if self.flip is None or (place := data.find(self.flip)) < 0:
            return data
        changed = bytearray(data)
        changed[place + self._random.randrange(len(self.flip))] ^= 1 << self._random.randrange(8)
        self.flips += 1
        return bytes(changed)


@asynccontextmanager
async def open_proxy(mock, seed: int = 1):
    """Let all clients of a mock cluster of one broker go through a proxy; the journal's servers are `mock.bootstrap_servers`."""
    _, port = mock.bootstrap_servers.rsplit(":", 1)
    proxy = Proxy(int(port), seed)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        mock.set_address("127.0.0.1", listeners[0].socket.getsockname()[1])
        await nursery.start(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel(reason="the test ends")
