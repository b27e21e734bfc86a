"""Who reads what with which consumer.

* A few consumers are kept warm for single ids, with no wait at the broker: a recovery then costs two round trips.
* Requests that find none free wait together, and one consumer with a longer wait serves them all at once: recovering
  thousands of ids costs a few large fetches instead of thousands of small ones.
* A long replay gets a consumer of its own, as it holds its place between batches.

Consumers are made on first use, kept, and closed when the driver closes.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import attrs
import trio
from confluent_kafka.admin import AdminClient

from .._lifecycle import Background
from ..driver import Log, LogReader, Record, Scan
from ..errors import PersistenceError, RecoveryStalled, StoreClosed
from .crowd import Request, serve
from .scanner import ClusterMoved, Scanner, Stretch

T = TypeVar("T")

MAX_OPEN_READERS: Final = 64
"""Long replays at once; each has a consumer with a connection and a bounded queue."""

KEPT_READERS: Final = 2
"""Consumers of finished long replays that stay warm for the next ones."""


@attrs.define(eq=False)
class _Waiting:
    request: Request
    answered: trio.Event = attrs.field(factory=trio.Event)
    result: Scan | PersistenceError | ClusterMoved | None = None
    """None: to be asked for again."""


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
        stall_seconds: float,
    ) -> None:
        self._make = make
        self._admin = admin
        self._tasks = tasks
        self._crowd_size = crowd_size
        self._stall_seconds = stall_seconds
        self._singles: list[Scanner | None] = [None] * singles
        self._crowd: Scanner | None = None
        self._crowd_running = False
        self._waiting: list[_Waiting] = []
        self._kept: list[Scanner] = []
        self._in_use: set[Scanner] = set()
        self._open_readers = trio.Semaphore(MAX_OPEN_READERS)
        self._limiter = trio.CapacityLimiter(singles + 1 + MAX_OPEN_READERS)

    async def scan(self, request: Request) -> Scan:
        """Read one stretch, alone or in a crowd.

        Raises: see `Driver.scan`.
        """
        deadline = trio.current_time() + self._stall_seconds
        while True:
            try:
                result = await (self._scan_alone(request) if self._singles else self._scan_in_crowd(request))
            except ClusterMoved:
                continue
            if result is not None:
                return result
            if trio.current_time() > deadline:
                raise RecoveryStalled(
                    f"reading {request.log}: no progress for {self._stall_seconds:g} s (recovery-stall-timeout). The log "
                    "has more records; is its leader up, or does an open transaction hold its end back?"
                )

    async def _scan_alone(self, request: Request) -> Scan:
        scanner = self._singles.pop()
        try:
            if scanner is None:
                scanner = await self.in_thread(partial(self._make, 0))
            return await self.in_thread(partial(scanner.scan, request.log, request.start, request.stop, request.known))
        finally:
            self._singles.append(self._fresh(scanner))

    def _fresh(self, scanner: Scanner | None) -> Scanner | None:
        """The consumer, unless it knows only old addresses: that one is closed."""
        if scanner is not None and scanner.outdated:
            self._tasks.spawn(self.in_thread, scanner.close)
            return None
        return scanner

    async def _scan_in_crowd(self, request: Request) -> Scan | None:
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
        if isinstance(waiting.result, Exception):
            raise waiting.result
        return waiting.result

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
            self._crowd = self._fresh(self._crowd)
            if self._crowd is None:
                self._crowd = await self.in_thread(partial(self._make, 20))
            results = await self.in_thread(partial(serve, self._crowd, self._admin, [each.request for each in crowd]))
            for each, result in zip(crowd, results, strict=True):
                each.result = result
        except (PersistenceError, ClusterMoved) as error:
            for each in crowd:
                each.result = copy.copy(error)
        finally:
            for each in crowd:
                each.answered.set()

    def move(self, admin: AdminClient) -> None:
        """Read with new consumers from here on, also what is being read now."""
        self._admin = admin
        for scanner in [*self._singles, self._crowd, *self._kept, *self._in_use]:
            if scanner is not None:
                scanner.outdated = True
        self._singles = [self._fresh(scanner) for scanner in self._singles]
        self._kept = [scanner for scanner in self._kept if self._fresh(scanner) is not None]

    @asynccontextmanager
    async def open_reader(self, log: Log, start: int) -> AsyncIterator[LogReader]:
        """See `Driver.open_reader`."""
        async with self._open_readers:
            reader = _Reader(self, log, start)
            try:
                yield reader
            finally:
                with trio.CancelScope(shield=True):  # bounded: local calls of the client
                    await reader.leave()

    async def borrow(self) -> Scanner:
        """A consumer for a long stretch; give it back."""
        scanner = self._kept.pop() if self._kept else await self.in_thread(partial(self._make, 20))
        self._in_use.add(scanner)
        return scanner

    async def give_back(self, scanner: Scanner) -> None:
        """Keep a consumer for the next long stretch, or close it."""
        self._in_use.discard(scanner)
        if scanner.outdated or len(self._kept) >= KEPT_READERS:
            await self.in_thread(scanner.close)
        else:
            self._kept.append(scanner)

    async def in_thread(self, sync_fn: Callable[[], T]) -> T:
        """Run a consumer's call in a worker thread."""
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)

    async def close(self) -> None:
        """Close every consumer; readers must have been left."""
        scanners = [*self._singles, self._crowd, *self._kept]
        self._singles, self._crowd, self._kept = [], None, []
        for scanner in scanners:
            if scanner is not None:
                await self.in_thread(scanner.close)


def _one_per_log(waiting: Sequence[_Waiting], most: int) -> Collection[_Waiting]:
    """The first requests, one for each log: a consumer reads a log at one place at a time."""
    chosen: dict[Log, _Waiting] = {}
    for each in waiting:
        if len(chosen) == most:
            break
        chosen.setdefault(each.request.log, each)
    return dict.fromkeys(chosen.values())


class _Reader(LogReader):
    """A place in one log, and the consumer that reads on from it."""

    def __init__(self, pool: ReaderPool, log: Log, start: int) -> None:
        self._pool = pool
        self._log = log
        self._next = start
        self._scanner: Scanner | None = None

    async def read(self, stop: int) -> Sequence[Record]:
        """See `LogReader.read`."""
        if self._next >= stop:
            await trio.lowlevel.checkpoint()
            return ()
        while True:
            try:
                if self._scanner is None:
                    self._scanner = await self._pool.borrow()
                    self._scanner.assign([Stretch(self._log, self._next, stop, 0)])
                return await self._pool.in_thread(partial(self._read, self._scanner, stop))
            except ClusterMoved:
                await self.leave()

    def _read(self, scanner: Scanner, stop: int) -> Sequence[Record]:
        records, self._next = scanner.read_on(self._log, self._next, stop)
        return records

    async def leave(self) -> None:
        """Stop fetching and give the consumer back."""
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            await self._pool.in_thread(scanner.unassign)
            await self._pool.give_back(scanner)
