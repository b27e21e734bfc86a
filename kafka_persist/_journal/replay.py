"""A bounded stream of one id's events: a task of the journal's nursery reads ahead by a batch, the channel hands out.

The reader judges the log anew from its start (or from a bookmark), so a replay never depends on what this process
believes. Between the reading task and the channel there is room for one batch, so memory is bounded whatever the
number of events and however slow the receiver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import attrs
import trio

from .._core.chain import Chain, Head
from .._core.entries import make_events, plain_events, read_entries, writer_of
from .._core.follower import Follower
from ..driver import Driver, Log, OffsetGone, Record
from ..errors import JournalBroken, JournalHeadLost, JournalTruncated, PersistenceError, StoreClosed, printable
from ..model import PersistentRepr
from ..serialization import Serializer
from .reading import CUTS_WHILE_READING, Counted, judged


@attrs.frozen(kw_only=True)
class Window:
    """Which events: ``low <= sequence number <= high``, at most `limit` (None: no limit)."""

    low: int
    high: int
    limit: int | None

    @property
    def empty(self) -> bool:
        """No number lies in it."""
        return self.low > self.high or (self.limit is not None and self.limit <= 0)

    def within(self, head: Head) -> Window:
        """The part of it that can hold events."""
        return Window(low=max(self.low, head.floor + 1), high=min(self.high, head.highest), limit=self.limit)


PIECE: Final = 100
"""About how many events are decoded before they are handed on: of more, Python's garbage collector scans those that wait
(with 2,000 in a piece, decoding takes a quarter longer)."""

EVENTS_IN_A_ROW: Final = 64
"""How many events an ``async for`` takes before other tasks get their turn."""


class EventChannel(trio.abc.ReceiveChannel[PersistentRepr]):
    """The receiving end of a replay: events one by one out of batches."""

    def __init__(self, batches: trio.MemoryReceiveChannel[Sequence[PersistentRepr]] | None) -> None:
        self._batches = batches
        self._buffer: deque[PersistentRepr] = deque()
        self._closed = False
        self._in_a_row = 0
        self.failure: BaseException | None = None
        """Why the reading task ended early; raised behind the last event that it delivered."""

    def fill(self, events: Sequence[PersistentRepr]) -> None:
        """Add events that are already here."""
        self._buffer.extend(events)

    async def receive(self) -> PersistentRepr:
        """Return the next event.

        Raises:
            trio.EndOfChannel: there are no more.
            StoreClosed: the replay's block, or the journal, has ended.
            StoredDataError, BrokerError: the next event cannot be given back.
        """
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosed("this replay is closed; receive inside its `async with` block")
        while not self._buffer:
            self._buffer.extend(await self._next_batch())
        return self._buffer.popleft()

    async def __anext__(self) -> PersistentRepr:
        """Return the next event of an ``async for``: as `receive`, but other tasks run only every 64 events.

        Each event looks at cancellation; letting others run each time would cost half of reading a long log.
        """
        if self._in_a_row < EVENTS_IN_A_ROW and self._buffer and not self._closed:
            self._in_a_row += 1
            await trio.lowlevel.checkpoint_if_cancelled()
            return self._buffer.popleft()
        self._in_a_row = 0
        return await super().__anext__()

    async def _next_batch(self) -> Sequence[PersistentRepr]:
        try:
            if self._batches is None:
                raise trio.EndOfChannel
            return await self._batches.receive()
        except trio.EndOfChannel:
            if self.failure is not None:
                raise self.failure from self.failure.__cause__
            raise

    async def aclose(self) -> None:
        """Close; idempotent."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close without a checkpoint."""
        self._closed = True
        self._buffer.clear()
        if self._batches is not None:
            self._batches.close()


@attrs.frozen(kw_only=True)
class Source:
    """Where a replay reads, and up to which head.

    Attributes:
        driver: the log's access.
        log: the id's log.
        target: the head when the replay was opened: everything up to it is delivered.
        start: where judging begins: an empty chain, or a bookmark's.
        serializer: decodes payloads.
        look: reads the head as it is now.
    """

    driver: Driver
    log: Log
    target: Head
    start: Chain
    serializer: Serializer
    look: Callable[[], Awaitable[Chain]]

    def decode(self, counted: Counted, window: Window) -> list[PersistentRepr]:
        """The events of one record that lie in the window."""
        where = f"{self.log}@{counted.offset}"
        entries = read_entries(counted.value, counted.start, where)
        of = (self.target_id, counted.first, counted.last, counted.writer)
        return make_events(entries, of, self.serializer, where, window.low, window.high)

    @property
    def target_id(self) -> str:
        """Whose events."""
        return self.start.persistence_id


def overlaps(counted: Counted, window: Window) -> bool:
    """Whether a record holds events of the window."""
    return bool(counted.first) and counted.last >= window.low and counted.first <= window.high


class Replayer:
    """The reading task of one replay."""

    def __init__(self, source: Source, window: Window) -> None:
        self._source = source
        self._follower = Follower(source.start)
        self._low = window.low
        self._high = window.high
        self._left = window.limit
        self._floor = source.target.floor
        self._held: Counted | None = None
        """The first record of a cut log, until a later one confirms that it counts."""

    async def run(self, send: trio.MemorySendChannel[Sequence[PersistentRepr]], channel: EventChannel) -> None:
        """Read to the end of the window; never raises: a failure is raised at the receiver."""
        with send:
            try:
                await self._read_all(send)
            except PersistenceError as error:
                channel.failure = error.about(self._source.start.persistence_id, self._source.log.topic)
            except trio.BrokenResourceError:
                pass  # the receiver left
            except trio.Cancelled:
                channel.failure = StoreClosed("the journal was closed during this replay")
                raise
            except Exception as error:  # noqa: BLE001 - it belongs to this replay, not to the journal's block
                channel.failure = self._unforeseen(error)

    def _unforeseen(self, error: Exception) -> JournalBroken:
        start = self._source.start
        broken = JournalBroken(f"the replay of {printable(start.persistence_id)} failed: {error!r}")
        broken.__cause__ = error
        return broken.about(start.persistence_id, self._source.log.topic)

    async def _read_all(self, send: trio.MemorySendChannel[Sequence[PersistentRepr]]) -> None:
        attempts = 0
        while True:
            floor, low = self._floor, self._low
            try:
                await self._read(send)
                break
            except JournalHeadLost as error:
                attempts = 1 if self._low > low else attempts + 1  # whoever gets on may begin anew as often as need be
                if attempts == CUTS_WHILE_READING:
                    raise
                # Before the word "lost" the floor is looked at again, as it is now: a deletion may have raised it, and
                # cut the log, since this replay was opened.
                await self._begin_anew()  # noqa: ASYNC120 - the exception is only a reason to look again
                if self._floor == floor and not isinstance(error, OffsetGone):
                    raise

    async def _read(self, send: trio.MemorySendChannel[Sequence[PersistentRepr]]) -> None:
        """Read from where judging stands.

        Raises:
            OffsetGone: the log was cut meanwhile.
        """
        source, end = self._source, self._source.target.offset + 1
        if self._low > self._high:
            return
        scan = await source.driver.scan(source.log, self._follower.position or None, end)
        if scan.range.start >= end:
            raise OffsetGone(f"{source.log} was cut at offset {scan.range.start} while it was read")
        if await self._deliver(scan.records, scan.range.start, send):
            return
        if scan.next_offset < min(end, scan.range.end):  # else the log is too short
            async with source.driver.open_reader(source.log, scan.next_offset) as reader:
                while records := await reader.read(end):
                    if await self._deliver(records, scan.range.start, send):
                        return
        self._check_complete()
        self._check_end()

    async def _deliver(
        self, records: Sequence[Record], log_start: int, send: trio.MemorySendChannel[Sequence[PersistentRepr]]
    ) -> bool:
        """Judge a batch and send its events, piece by piece; whether the window is done."""
        place = 0
        while place < len(records):
            events, place = self._judge(records, place, log_start)
            if self._left is not None:
                events = events[: self._left]
                self._left -= len(events)
            if events:
                await send.send(events)
            if self._done:
                return True
        return self._done

    @property
    def _done(self) -> bool:
        return self._left == 0 or (self._follower.highest >= self._high and self._held is None)

    def _judge(self, records: Sequence[Record], place: int, log_start: int) -> tuple[list[PersistentRepr], int]:
        """The events of the records from `place` on, about as many as go into a piece, and the place after them."""
        window = Window(low=self._low, high=self._high, limit=None)
        enough = PIECE if self._left is None else min(PIECE, self._left)
        events: list[PersistentRepr] = []
        while place < len(records) and len(events) < enough:
            place = self._take_usual(records, place, log_start, events, enough)
            if len(events) >= enough:
                break
            for counted in judged(self._follower, self._source.log, records[place : place + 1], log_start):
                if counted.offset == log_start > 0 and counted.offset != self._source.target.offset:
                    self._held = counted
                    continue
                if self._held is not None:
                    held, self._held = self._held, None
                    events.extend(self._taken(held, window))
                events.extend(self._taken(counted, window))
            place += 1
        if events:
            self._low = events[-1].sequence_nr + 1
        return events, place

    def _take_usual(
        self, records: Sequence[Record], place: int, log_start: int, events: list[PersistentRepr], enough: int
    ) -> int:
        """Take records while each plainly extends the one before, until there are `enough` events; nearly all do.

        Returns:
            The place of the first one that is not so: it takes the careful way, which may refuse it.
        """
        follower, serializer = self._follower, self._source.serializer
        if self._held is not None or self._misses_events or not (follower.position > log_start or log_start == 0):
            return place
        persistence_id, writer, start = follower.persistence_id, writer_of(follower.writer), follower.entries_at
        window = low, high = self._low, self._high
        while place < len(records) and len(events) < enough:
            offset, key, value = records[place]
            if value is None or offset != follower.position:
                break
            numbers = follower.follow(offset, value)
            if numbers is None:
                break
            place += 1
            first, last = numbers
            if first <= high and last >= low:
                of = persistence_id, first, last, writer
                if not plain_events(value, start, of, serializer, window, events):
                    counted = Counted(offset, first, last, value, start, follower.writer, key)
                    events.extend(self._source.decode(counted, Window(low=low, high=high, limit=None)))
        return place

    def _taken(self, counted: Counted, window: Window) -> Sequence[PersistentRepr]:
        if not overlaps(counted, window):
            return ()
        self._check_complete()
        return self._source.decode(counted, window)

    async def _begin_anew(self) -> None:
        """Go on at the log's new start: what a deletion removed is no longer wanted, what else is missing is lost."""
        chain = await self._source.look()
        self._floor = chain.head.floor
        self._low = max(self._low, self._floor + 1)
        self._held = None
        self._follower = Follower(Chain(chain.persistence_id))

    @property
    def _misses_events(self) -> bool:
        """Whether events of the window, that nobody deleted, are no longer in the log."""
        return self._low < self._follower.oldest and self._floor < self._follower.oldest - 1

    def _check_complete(self) -> None:
        """Refuse to begin above the window's lower bound.

        Raises:
            JournalHeadLost: events of the window, that nobody deleted, are no longer in the log.
        """
        oldest = self._follower.oldest
        if self._misses_events:
            raise JournalHeadLost(
                f"{self._source.log}: events {self._low} to {oldest - 1} of {printable(self._source.start.persistence_id)} are "
                "no longer in the log though nobody deleted them (retention, or a foreign deletion). Recovery is "
                f"possible from a snapshot at {oldest - 1} or above; otherwise restore the topic from a copy"
            ).about(offset=self._follower.chain.head.offset)

    def _check_end(self) -> None:
        """Compare where reading arrived with where it had to.

        Raises:
            JournalTruncated: the log no longer leads to the head that was seen when the replay was opened.
        """
        here, target = self._follower.chain.head, self._source.target
        if here.offset < target.offset or (here.offset == target.offset and here.author != target.author):
            raise JournalTruncated(
                f"{self._source.log}: reading ended at offset {here.offset}, but the head was seen at offset "
                f"{target.offset}: the broker lost acknowledged records"
            ).about(offset=here.offset)


@contextmanager
def served(source: Source, window: Window, records: Iterable[Counted]) -> Iterator[EventChannel]:
    """A replay of records that are already here."""
    channel = EventChannel(None)
    left = window.limit
    try:
        for counted in records:
            if overlaps(counted, window):
                events = source.decode(counted, window)[:left]
                left = None if left is None else left - len(events)
                channel.fill(events)
    except PersistenceError as error:
        channel.failure = error.about(source.start.persistence_id, source.log.topic)
    try:
        yield channel
    finally:
        channel.close()


@asynccontextmanager
async def streamed(source: Source, window: Window, spawn: Callable[..., bool]) -> AsyncIterator[EventChannel]:
    """A replay that a task of its own reads; leaving the block ends the task and waits for it."""
    send, receive = trio.open_memory_channel[Sequence[PersistentRepr]](1)
    channel = EventChannel(receive)
    scope, ended = trio.CancelScope(), trio.Event()

    async def read() -> None:
        try:
            with scope:
                await Replayer(source, window).run(send, channel)
        finally:
            ended.set()

    if not spawn(read):
        raise StoreClosed("the journal is closed")
    try:
        yield channel
    finally:
        channel.close()
        scope.cancel(reason="the replay was left")
        with trio.CancelScope(shield=True):  # bounded: reading threads look at the cancellation between short polls
            await ended.wait()
