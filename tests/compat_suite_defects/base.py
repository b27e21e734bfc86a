"""What the three stores share: plain data, and the part of a journal that is not storage."""

import time
from collections import deque
from contextlib import asynccontextmanager

import trio

from compat_suite.capabilities import JOURNAL, SNAPSHOT_STORE
from kafka_persist.abc import Capability, Journal, SnapshotStore
from kafka_persist.errors import SequenceNrConflict, SerializationError, StoreClosed, WriterFenced
from kafka_persist.model import LATEST, MAX_SEQUENCE_NR, Rejection, SelectionCriteria, check_persistence_id


def check_plain(value):
    """Raise SerializationError for what is no plain data."""
    if isinstance(value, list):
        for item in value:
            check_plain(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SerializationError(f"a key of a map must be a text, not {key!r}")
            check_plain(item)
    elif value is not None and not isinstance(value, bool | int | float | str | bytes):
        raise SerializationError(f"{type(value).__name__} is not plain data")


def now():
    return time.time_ns() // 1_000_000


class Channel(trio.abc.ReceiveChannel):
    def __init__(self, journal, name, low, high, left):
        self.journal, self.name, self.low, self.high, self.left = journal, name, low, high, left
        self.place = None
        self.page = deque()
        self.closed = False

    async def receive(self):
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise trio.ClosedResourceError("this replay was left")
        if self.journal.closed:
            raise StoreClosed("this store is closed")
        if not self.page and self.left > 0 and self.low <= self.high:
            await self.fetch()
        if not self.page or self.left <= 0:
            raise trio.EndOfChannel
        return self.give()

    async def fetch(self):
        storage = self.journal.storage
        page, self.place = await self.journal.run(
            storage.page, self.name, self.low, self.high, min(self.left, storage.page_size), self.place
        )
        self.page.extend(page)

    def give(self):
        event = self.journal.storage.decode_event(self.name, *self.page[0])
        self.page.popleft()
        self.low = event.sequence_nr + 1
        self.left -= 1
        return event

    async def aclose(self):
        self.closed = True
        await trio.lowlevel.checkpoint()


class ThirdPartyJournal(Journal):
    """A storage has the blocking calls; they run in threads, in turns.

    Storage: ``claim(id, writer)``, ``write(writes, bodies, stamp)``, ``highest(id)``, ``delete(id, number)``, ``page(id, low,
    high, left, place)`` gives events and the next place, ``ids()``, ``close()``.
    """

    Channel = Channel

    def __init__(self, storage, turns):
        self.storage = storage
        self.turns = turns
        self.closed = False

    @property
    def capabilities(self):
        return JOURNAL

    async def run(self, call, *arguments):
        if self.closed:
            raise StoreClosed("this store is closed")
        return await self.in_thread(call, *arguments)

    async def in_thread(self, call, *arguments):
        return await trio.to_thread.run_sync(call, *arguments, limiter=self.storage.limiter)

    async def claim(self, persistence_id, writer):
        check_persistence_id(persistence_id)
        async with self.turns.of(persistence_id):
            return await self.run(self.storage.claim, persistence_id, writer)

    async def write(self, writes):
        writes = tuple(writes)
        stamp = now()
        bodies = [self.prepare(write) for write in writes]
        async with self.turns.of(*[write.persistence_id for write in writes]):
            results = await self.run(self.storage.write, writes, bodies, stamp)
        return self.answer(results)

    def prepare(self, write):
        """Encode an atomic write before the call first yields; a Rejection if that cannot be done."""
        try:
            return [self.storage.encode_event(event) for event in write.events]
        except SerializationError as error:
            return Rejection(str(error), error)

    def answer(self, results):
        for result in results:
            if isinstance(result, WriterFenced):
                raise WriterFenced(str(result), results=results)
        return results

    @asynccontextmanager
    async def replay(self, persistence_id, *, from_sequence_nr=1, to_sequence_nr=MAX_SEQUENCE_NR, max_events=None):
        low = max(1, from_sequence_nr)
        high = min(to_sequence_nr, await self.highest_sequence_nr(persistence_id))
        left = MAX_SEQUENCE_NR if max_events is None else max_events
        channel = self.channel(persistence_id, low, high, left)
        try:
            yield channel
        finally:
            channel.closed = True

    def channel(self, *window):
        return self.Channel(self, *window)

    async def highest_sequence_nr(self, persistence_id):
        check_persistence_id(persistence_id)
        async with self.turns.of(persistence_id):
            return await self.run(self.storage.highest, persistence_id)

    async def delete_to(self, persistence_id, to_sequence_nr):
        check_persistence_id(persistence_id)
        async with self.turns.of(persistence_id):
            await self.run(self.storage.delete, persistence_id, to_sequence_nr)

    @asynccontextmanager
    async def persistence_ids(self):
        ids = await self.run(self.storage.ids)
        send, receive = trio.open_memory_channel(len(ids))
        with send, receive:
            for name in ids:
                send.send_nowait(name)
            send.close()
            yield receive

    async def close(self):
        """Wait for the calls under way, refuse all others."""
        self.closed = True
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self.storage.close)


def check_order(writes, bodies, head_of):
    """Raise if a write that would be stored does not start above the highest number."""
    last = {}
    for write, body in zip(writes, bodies, strict=True):
        head = head_of(write.persistence_id)
        if isinstance(body, Rejection) or head.writer != write.writer.hex:
            continue
        highest = last.get(write.persistence_id, head.highest)
        if write.first_sequence_nr <= highest:
            raise SequenceNrConflict(f"{write.persistence_id}: {write.first_sequence_nr} is not above {highest}")
        last[write.persistence_id] = write.last_sequence_nr


class ThirdPartySnapshots(SnapshotStore):
    """A storage has the blocking calls: ``save(metadata, body)``, ``load(id, criteria)``, ``delete_snapshots(id, criteria)``."""

    def __init__(self, storage, turns):
        self.storage = storage
        self.turns = turns
        self.closed = False

    @property
    def capabilities(self):
        return SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}

    run = ThirdPartyJournal.run
    in_thread = ThirdPartyJournal.in_thread
    close = ThirdPartyJournal.close

    async def save(self, metadata, snapshot):
        body = self.storage.encode_snapshot(metadata, snapshot)
        async with self.turns.of(metadata.persistence_id):
            return await self.run(self.storage.save, metadata, body)

    async def load(self, persistence_id, criteria=LATEST):
        check_persistence_id(persistence_id)
        async with self.turns.of(persistence_id):
            return await self.run(self.storage.load, persistence_id, criteria)

    async def delete(self, metadata):
        stamp, number = metadata.timestamp, metadata.sequence_nr
        await self.delete_matching(
            metadata.persistence_id,
            SelectionCriteria(
                min_sequence_nr=number,
                max_sequence_nr=number,
                min_timestamp=stamp,
                max_timestamp=stamp or MAX_SEQUENCE_NR,
            ),
        )

    async def delete_matching(self, persistence_id, criteria):
        check_persistence_id(persistence_id)
        async with self.turns.of(persistence_id):
            await self.run(self.storage.delete_snapshots, persistence_id, criteria)


CAPABILITIES = {"journal": JOURNAL, "snapshots": SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}}
