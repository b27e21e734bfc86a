"""Who reads what with which consumer.

* A few consumers are kept warm for single ids, with no wait at the broker: a recovery then costs two round trips.
* Requests that find none free wait together, and one consumer with a longer wait serves them all at once: recovering
  thousands of ids costs a few large fetches instead of thousands of small ones.
* A long replay gets a consumer of its own, as it holds its place between batches.

Consumers are made on first use, kept, and closed when the driver closes.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio
from confluent_kafka.admin import AdminClient

from .._lifecycle import Background
from ..driver import Log, LogReader, Record, Scan
from ..errors import PersistenceError, StoreClosed
from .crowd import Request, serve
from .scanner import Scanner, Stretch

T = TypeVar("T")

MAX_OPEN_READERS: Final = 64
"""Long replays at once; each has a consumer with a connection and a bounded queue."""

KEPT_READERS: Final = 2
"""Consumers of finished long replays that stay warm for the next ones."""


@attrs.define(eq=False)
class _Waiting:
    request: Request
    answered: trio.Event = attrs.field(factory=trio.Event)
    result: Scan | PersistenceError | None = None


class ReaderPool:
    """Hands out consumers; all their calls run in worker threads of a limiter of its own."""

    def __init__(
        self,
        make: Callable[[int], Scanner],
        admin: AdminClient,
        tasks: Background,
        *,
        singles: int,
        crowd_size: int,
    ) -> None:
        self._make = make
        self._admin = admin
        self._tasks = tasks
        self._crowd_size = crowd_size
        self._singles: list[Scanner | None] = [None] * singles
        self._crowd: Scanner | None = None
        self._crowd_running = False
        self._waiting: list[_Waiting] = []
        self._kept: list[Scanner] = []
        self._open_readers = trio.Semaphore(MAX_OPEN_READERS)
        self._limiter = trio.CapacityLimiter(singles + 1 + MAX_OPEN_READERS)

    async def scan(self, request: Request) -> Scan:
        """Read one stretch, alone or in a crowd.

        Raises: see `Driver.scan`.
        """
        if self._singles:
            return await self._scan_alone(request)
        return await self._scan_in_crowd(request)

    async def _scan_alone(self, request: Request) -> Scan:
        scanner = self._singles.pop()
        try:
            if scanner is None:
                scanner = await self._in_thread(partial(self._make, 0))
            return await self._in_thread(partial(scanner.scan, request.log, request.start, request.stop, request.known))
        finally:
            self._singles.append(scanner)

    async def _scan_in_crowd(self, request: Request) -> Scan:
        waiting = _Waiting(request)
        self._waiting.append(waiting)
        if not self._crowd_running:
            self._crowd_running = True
            if not self._tasks.spawn(self._serve_crowds):
                raise StoreClosed("the connection to Kafka is closed")
        try:
            await waiting.answered.wait()
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        result = waiting.result
        if isinstance(result, Scan):
            return result
        raise result or StoreClosed("the connection to Kafka was closed during this call")

    async def _serve_crowds(self) -> None:
        try:
            while self._waiting:
                now = _one_per_log(self._waiting, self._crowd_size)
                self._waiting = [each for each in self._waiting if each not in now]
                await self._serve_one_crowd(list(now))
        finally:
            self._crowd_running = False
            for left in self._waiting:
                left.answered.set()

    async def _serve_one_crowd(self, crowd: Sequence[_Waiting]) -> None:
        try:
            if self._crowd is None:
                self._crowd = await self._in_thread(partial(self._make, 20))
            results = await self._in_thread(partial(serve, self._crowd, self._admin, [each.request for each in crowd]))
            for each, result in zip(crowd, results, strict=True):
                each.result = result
        except PersistenceError as error:
            for each in crowd:
                each.result = copy.copy(error)
        finally:
            for each in crowd:
                each.answered.set()

    @asynccontextmanager
    async def open_reader(self, log: Log, start: int) -> AsyncIterator[LogReader]:
        """See `Driver.open_reader`."""
        async with self._open_readers:
            scanner = self._kept.pop() if self._kept else await self._in_thread(partial(self._make, 20))
            reader = _Reader(scanner, log, start, self._in_thread)
            try:
                yield reader
            finally:
                with trio.CancelScope(shield=True):  # bounded: local calls of the client
                    await self._in_thread(partial(self._give_back, reader))

    def _give_back(self, reader: _Reader) -> None:
        reader.unassign()
        if len(self._kept) < KEPT_READERS:
            self._kept.append(reader.scanner)
        else:
            reader.scanner.close()

    async def _in_thread(self, sync_fn: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)

    async def close(self) -> None:
        """Close every consumer; readers must have been left."""
        scanners = [*self._singles, self._crowd, *self._kept]
        self._singles, self._crowd, self._kept = [], None, []
        for scanner in scanners:
            if scanner is not None:
                await self._in_thread(scanner.close)


def _one_per_log(waiting: Sequence[_Waiting], most: int) -> Collection[_Waiting]:
    """The first requests, one for each log: a consumer reads a log at one place at a time."""
    chosen: dict[Log, _Waiting] = {}
    for each in waiting:
        if len(chosen) == most:
            break
        chosen.setdefault(each.request.log, each)
    return dict.fromkeys(chosen.values())


class _Reader(LogReader):
    """A consumer that holds its place in one log."""

    def __init__(self, scanner: Scanner, log: Log, start: int, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self.scanner = scanner
        self._log = log
        self._next = start
        self._in_thread = in_thread
        self._assigned = False

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        if self._next >= stop:
            await trio.lowlevel.checkpoint()
            return ()
        records: Sequence[Record] = await self._in_thread(partial(self._read, stop))
        return records

    def _read(self, stop: int) -> Sequence[Record]:
        if not self._assigned:
            self.scanner.assign([Stretch(self._log, self._next, stop, 0)])
            self._assigned = True
        records, self._next = self.scanner.read_on(self._log, self._next, stop)
        return records

    def unassign(self) -> None:
        """Stop fetching."""
        if self._assigned:
            self.scanner.unassign()
