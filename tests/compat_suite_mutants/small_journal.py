"""A small correct journal whose every decision is a method of its own, so that a mutant overrides just one."""

import copy
import time
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite.capabilities import JOURNAL
from compat_suite.memory_faults import MemoryFaults
from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import (
    CorruptRecord,
    SequenceNrConflict,
    StoreClosed,
    UnsupportedOperation,
    WriterFenced,
)
from kafka_persist.model import MAX_SEQUENCE_NR, Rejection, check_persistence_id

PLAIN = (str, bytes, int, float, bool, type(None), list, dict)


def lacking(*capabilities):
    return JOURNAL - frozenset(capabilities)


@attrs.define
class Log:
    events: list = attrs.field(factory=list)
    batches: list = attrs.field(factory=list)
    highest: int = 0
    floor: int = 0
    writer: object = None


@attrs.define
class Disk:
    logs: dict = attrs.field(factory=dict)
    notes: dict = attrs.field(factory=dict)


class SmallJournal(Journal):
    declared = JOURNAL
    max_bytes = 1 << 20

    def __init__(self, disk):
        self.disk = disk
        self.closed = False

    @property
    def capabilities(self):
        return self.declared

    def can(self, capability):
        return capability in self.declared

    # --- life ---

    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        journal = cls(disk)
        await journal.start()
        try:
            yield journal
        finally:
            journal.stop()

    async def start(self):
        pass

    def stop(self):
        self.closed = True

    async def begin(self):
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.closed:
            raise StoreClosed("closed")

    async def end(self):
        await trio.lowlevel.cancel_shielded_checkpoint()

    # --- names ---

    def check_id(self, name):
        check_persistence_id(name)

    def key(self, name):
        return name

    def log(self, name):
        self.check_id(name)
        return self.disk.logs.setdefault(self.key(name), Log())

    # --- writing ---

    async def claim(self, persistence_id, writer):
        await self.begin()
        log = self.log(persistence_id)
        self.take(log, writer)
        highest = self.highest(log)
        await self.end()
        return highest

    def take(self, log, writer):
        log.writer = writer

    async def write(self, writes):
        await self.begin()
        prepared = [self.prepare(write) for write in writes]
        self.check_order(writes, prepared)
        results = [self.store(write, events) for write, events in zip(writes, prepared, strict=True)]
        await self.end()
        return self.answer(results)

    def answer(self, results):
        for result in results:
            if isinstance(result, WriterFenced):
                raise WriterFenced(str(result), results=results)
        return results

    def prepare(self, write):
        """Return copies of the events, or a Rejection."""
        if len(write.events) > 1 and not self.can(Capability.MULTI_EVENT_ATOMIC_WRITES):
            return Rejection("no multi-event writes")
        for event in write.events:
            problem = self.problem(event)
            if problem:
                return self.reject(problem)
        return [self.keep(event) for event in write.events]

    def reject(self, problem):
        if not self.can(Capability.REJECTS_UNSERIALIZABLE):
            raise UnsupportedOperation(problem)
        return Rejection(problem)

    def problem(self, event):
        if not isinstance(event.payload, PLAIN):
            return f"cannot serialize {type(event.payload).__name__}"
        if isinstance(event.payload, str) and len(event.payload) > self.max_bytes:
            return f"{len(event.payload)} bytes"
        if event.metadata is not None and not self.can(Capability.METADATA):
            return "no metadata"
        if event.tags and not self.can(Capability.TAGS):
            return "no tags"
        return None

    def keep(self, event):
        return attrs.evolve(event, payload=copy.deepcopy(event.payload), metadata=copy.deepcopy(event.metadata))

    def check_order(self, writes, prepared):
        if not self.can(Capability.REFUSES_STALE_SEQUENCE_NRS):
            return
        last = {}
        for write, events in zip(writes, prepared, strict=True):
            log = self.log(write.persistence_id)
            if isinstance(events, Rejection) or self.is_fenced(log, write):
                continue
            if write.first_sequence_nr <= last.get(write.persistence_id, self.highest(log)):
                raise SequenceNrConflict("stale")
            last[write.persistence_id] = write.last_sequence_nr

    def is_fenced(self, log, write):
        return self.can(Capability.FENCING) and log.writer != write.writer

    def store(self, write, events):
        log = self.log(write.persistence_id)
        if isinstance(events, Rejection):
            return events
        if self.is_fenced(log, write):
            return WriterFenced("fenced")
        self.append(log, [self.stamped(event) for event in events])
        return None

    def stamped(self, event):
        return event if event.timestamp else attrs.evolve(event, timestamp=self.now())

    def now(self):
        return time.time_ns() // 1_000_000

    def append(self, log, events):
        log.events += events
        log.batches.append([event.sequence_nr for event in events])
        log.highest = max(log.highest, events[-1].sequence_nr)

    # --- reading ---

    def replay(self, persistence_id, *, from_sequence_nr=1, to_sequence_nr=MAX_SEQUENCE_NR, max_events=None):
        return self._replay(persistence_id, from_sequence_nr, to_sequence_nr, max_events)

    @asynccontextmanager
    async def _replay(self, name, low, high, limit):
        await self.begin()
        self.check_id(name)
        log = self.disk.logs.get(self.key(name), Log())
        channel = self.channel(log, name, max(low, 1), high, limit)
        await self.end()
        try:
            yield channel
        finally:
            self.left(channel)

    def left(self, channel):
        channel.closed = True

    def channel(self, log, name, low, high, limit):
        return SmallChannel(self, self.select(log, low, high, limit), name)

    def in_range(self, number, low, high):
        return low <= number <= high

    def select(self, log, low, high, limit):
        found = [event for event in log.events if self.in_range(event.sequence_nr, low, high)]
        return [event for event in found if event.sequence_nr > log.floor][: None if limit is None else max(0, limit)]

    def give(self, event, name):
        """Decode one event."""
        if event.payload == "\x00damaged":
            raise CorruptRecord(f"{name} #{event.sequence_nr} does not decode")
        return attrs.evolve(event, payload=copy.deepcopy(event.payload), metadata=copy.deepcopy(event.metadata))

    def highest(self, log):
        return log.highest

    async def highest_sequence_nr(self, persistence_id):
        await self.begin()
        self.check_id(persistence_id)
        answer = self.highest(self.disk.logs.get(self.key(persistence_id), Log()))
        await self.end()
        return answer

    # --- deleting ---

    async def delete_to(self, persistence_id, to_sequence_nr):
        await self.begin()
        self.check_id(persistence_id)
        if not self.can(Capability.DELETES):
            raise UnsupportedOperation("no deletes")
        log = self.disk.logs.get(self.key(persistence_id), Log())
        if not self.can(Capability.DELETES_INSIDE_ATOMIC_WRITES):
            self.refuse_inside(log, to_sequence_nr)
        self.cut(log, to_sequence_nr)
        await self.end()

    def refuse_inside(self, log, number):
        if any(batch[0] <= number < batch[-1] for batch in log.batches):
            raise UnsupportedOperation("inside an atomic write")

    def cut(self, log, number):
        log.floor = max(log.floor, min(number, log.highest))

    # --- queries ---

    def persistence_ids(self):
        if not self.can(Capability.PERSISTENCE_IDS):
            return super().persistence_ids()
        return self._ids()

    def listed(self):
        return [name for name, log in self.disk.logs.items() if log.highest]

    @asynccontextmanager
    async def _ids(self):
        await self.begin()
        send, receive = trio.open_memory_channel(len(self.listed()))
        for name in self.listed():
            send.send_nowait(name)
        send.close()
        with receive:
            yield receive
        await self.end()


class SmallChannel(trio.abc.ReceiveChannel):
    def __init__(self, journal, events, name):
        self.journal = journal
        self.events = list(events)
        self.name = name
        self.closed = False

    async def receive(self):
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise trio.ClosedResourceError("left")
        if self.journal.closed:
            raise StoreClosed("closed")
        if not self.events:
            raise trio.EndOfChannel
        event = self.journal.give(self.events[0], self.name)
        self.events.pop(0)
        return event

    async def aclose(self):
        self.closed = True
        await trio.lowlevel.checkpoint()


class SmallBackdoor:
    def __init__(self, disk):
        self.disk = disk

    async def corrupt_event(self, persistence_id, sequence_nr):
        events = self.disk.logs[persistence_id].events
        for place, event in enumerate(events):
            if event.sequence_nr == sequence_nr:
                events[place] = attrs.evolve(event, payload="\x00damaged")

    rename_event_type = corrupt_event

    async def corrupt_snapshot(self, persistence_id, sequence_nr):
        self.disk.logs[persistence_id][sequence_nr][-1] = "\x00damaged"


@asynccontextmanager
async def no_faults():
    yield MemoryFaults()
