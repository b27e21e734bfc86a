"""Who reads what with which consumer.

* A few consumers (`readers`) serve all short reads, each any number at the same time. A topic always goes to the same one,
  which knows its leader then.
* A long replay gets a consumer of its own, as it holds its place between batches (`stream`).

Consumers are made on first use, in a thread, kept, and closed when nobody uses them any more and they are not wanted.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from .._lifecycle import Background, open_nursery
from ..driver import SHORT_LOG_PATIENCE, Log, LogRange, LogReader, Scan
from ..errors import StoreClosed, TopicMissing
from .client import Reasons
from .fetch import Fetch
from .fetcher import Fetcher
from .patience import FreshClient, Patience
from .stream import Stream

MAX_READS: Final = 500
"""Stretches that one consumer reads at the same time."""

ALL_BYTES: Final = 32 * 1024 * 1024
"""What all of them may hold in memory; each gets its share, and who wants more reads on with a stream."""

LEAST_BYTES: Final = 64 * 1024

MAX_STREAMS: Final = 64
"""Long replays at once; each has a consumer with a connection and a bounded queue."""

KEPT_STREAMS: Final = 2
"""Consumers of finished long replays that stay warm for the next ones."""


@attrs.define(eq=False)
class _Shared:
    """A consumer for short reads, with the task that pumps it."""

    fetcher: Fetcher
    reads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(MAX_READS))
    released: dict[Log, trio.Event] = attrs.field(factory=dict)
    pump: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    users: int = 0
    set_aside: bool = False


class Reader:
    """Reads logs.

    Args:
        make: makes a consumer; "short" for many short reads, "long" for a replay.
        tasks: runs the pumps.
        reasons: the last errors that the clients reported.
        count: how many consumers serve short reads.
        batch_bytes: about how much one short read brings.
        stall_seconds: how long a reading may make no progress.
    """

    def __init__(
        self,
        make: Callable[[str], Awaitable[Fetcher]],
        tasks: Background,
        reasons: Reasons,
        *,
        count: int,
        batch_bytes: int,
        stall_seconds: float,
    ) -> None:
        self._make = make
        self._reasons = reasons
        self._stall_seconds = stall_seconds
        self.short_log_patience = min(SHORT_LOG_PATIENCE, stall_seconds / 2)
        self._tasks = tasks
        self._batch_bytes = batch_bytes
        self._shared: list[_Shared | None] = [None] * count
        self._all: set[_Shared] = set()
        self._making = [trio.Lock() for _ in range(count)]
        self._reading = 0
        self._kept: list[Fetcher] = []
        self._lent: set[Fetcher] = set()
        self._streams = trio.Semaphore(MAX_STREAMS)
        self._closed = False

    def __repr__(self) -> str:
        return f"<Reader of {self._reading} logs, {len(self._lent)} streams>"

    # --- short reads ---------------------------------------------------------------------------------------------

    async def read(self, log: Log, start: int | None, stop: int | None, patience: Patience | None = None) -> Scan:
        """Read one stretch of a log whose topic exists; see `Driver.scan`.

        Args:
            log: which.
            start: from where on.
            stop: up to where.
            patience: that of a caller who reads again after an error: the time without progress is the same one.

        Raises:
            TopicMissing: the brokers say that there is no such topic.
        """
        self._reading += 1
        patience = patience or self.patience()
        try:
            while True:
                try:
                    return await self._read(log, start, stop, patience)
                except FreshClient:
                    await trio.lowlevel.checkpoint()
        finally:
            self._reading -= 1

    def patience(self) -> Patience:
        """Watch over a reading."""
        return Patience(self._reasons, self._stall_seconds)

    async def _read(self, log: Log, start: int | None, stop: int | None, patience: Patience) -> Scan:
        shared = await self._shared_for(log)
        shared.users += 1
        try:
            async with shared.reads:
                while shared.fetcher.reads(log):
                    await shared.released.setdefault(log, trio.Event()).wait()
                room = max(LEAST_BYTES, min(self._batch_bytes, ALL_BYTES // self._reading))
                fetch = Fetch(log, start, stop, room, patience=self.short_log_patience)
                try:
                    await self._wait(shared, fetch, patience)
                finally:
                    shared.fetcher.end(fetch)
                    if (released := shared.released.pop(log, None)) is not None:
                        released.set()
        finally:
            shared.users -= 1
            self._retire(shared)
        return _result(fetch)

    async def _wait(self, shared: _Shared, fetch: Fetch, patience: Patience) -> None:
        """Read; returns when the stretch is done."""
        shared.fetcher.begin(fetch)
        patience.begin(fetch)
        while True:
            await fetch.wait_done(patience.seconds)
            if fetch.done:
                return
            try:
                patience.check(shared.fetcher, fetch)
            except FreshClient:
                self._set_aside(shared)
                raise

    def _set_aside(self, shared: _Shared) -> None:
        """Use another client for what is read from now on; who still makes progress with this one may go on."""
        for place, each in enumerate(self._shared):
            if each is shared:
                self._shared[place] = None
        shared.set_aside = True

    async def _shared_for(self, log: Log) -> _Shared:
        place = zlib.crc32(log.topic.encode()) % len(self._shared)
        if (ready := self._shared[place]) is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            return ready
        async with self._making[place]:
            found = self._shared[place]
            if found is None:
                found = _Shared(await self._make("short"))
                if self._closed or not self._tasks.spawn(self._pump, found):
                    await found.fetcher.close()
                    raise StoreClosed("the connection to Kafka is closed")
                self._shared[place] = found
                self._all.add(found)
        return found

    @trio.lowlevel.enable_ki_protection
    async def _pump(self, shared: _Shared) -> None:
        """Take what comes; ended by `_retire` or `close`."""
        with shared.pump:
            while True:
                await shared.fetcher.turn()

    def _retire(self, shared: _Shared) -> None:
        """Close a consumer that is used for nothing new, when its last user has left."""
        if (shared.fetcher.outdated or shared.set_aside) and not shared.users and not shared.pump.cancel_called:
            shared.pump.cancel(reason="the brokers have other addresses")
            self._all.discard(shared)
            self._tasks.spawn(shared.fetcher.close)

    # --- long replays --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_stream(self, log: Log, start: int) -> AsyncIterator[LogReader]:
        """See `Driver.open_reader`."""
        async with self._streams:
            stream = Stream(self, log, start)
            try:
                yield stream
            finally:
                with trio.CancelScope(shield=True):  # bounded: local calls of the client, or a closing with a deadline
                    await stream.leave()

    async def borrow(self) -> Fetcher:
        """A consumer for a long stretch; give it back."""
        fetcher = self._kept.pop() if self._kept else await self._make("long")
        self._lent.add(fetcher)
        return fetcher

    async def give_back(self, fetcher: Fetcher) -> None:
        """Keep a consumer for the next long stretch, or close it."""
        self._lent.discard(fetcher)
        if fetcher.outdated or self._closed or len(self._kept) >= KEPT_STREAMS:
            await fetcher.close()
        else:
            self._kept.append(fetcher)
            await trio.lowlevel.checkpoint_if_cancelled()

    # --- life ----------------------------------------------------------------------------------------------------

    def move(self) -> None:
        """Read with new consumers from here on, also what is being read now."""
        for shared in self._shared:
            if shared is not None:
                shared.fetcher.outdated = True
                self._retire(shared)
        self._shared = [None] * len(self._shared)
        for fetcher in self._lent:
            fetcher.outdated = True
        kept, self._kept = self._kept, []
        for fetcher in kept:
            self._tasks.spawn(fetcher.close)

    async def close(self) -> None:
        """Close every consumer; streams must have been left."""
        self._closed = True
        shared, self._all = self._all, set()
        self._shared = [None] * len(self._shared)
        kept, self._kept = self._kept, []
        for each in shared:
            each.pump.cancel(reason="the connection to Kafka is closed")
        async with open_nursery() as nursery:
            for fetcher in [*(each.fetcher for each in shared), *kept]:
                nursery.start_soon(fetcher.close)


def _result(fetch: Fetch) -> Scan:
    if fetch.failure is not None:
        raise fetch.failure
    if fetch.missing:
        raise TopicMissing(f"topic {fetch.log.topic} does not exist").about(topic=fetch.log.topic)
    assert fetch.bounds is not None
    assert fetch.next_offset is not None
    return Scan(LogRange(fetch.bounds.start, fetch.bounds.end), fetch.records, fetch.next_offset)
