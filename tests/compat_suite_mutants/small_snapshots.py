"""A small correct snapshot store whose every decision is a method of its own."""

import copy
import time
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite.capabilities import SNAPSHOT_STORE
from kafka_persist.abc import Capability, SnapshotStore
from kafka_persist.errors import SerializationError, SnapshotUnreadable, StoreClosed
from kafka_persist.model import LATEST, SelectedSnapshot, check_persistence_id

from .small_journal import PLAIN


class SmallSnapshots(SnapshotStore):
    """On the disk: by key, by sequence number, a list of metadata and value."""

    declared = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}

    def __init__(self, disk):
        self.disk = disk
        self.closed = False

    @property
    def capabilities(self):
        return self.declared

    def can(self, capability):
        return capability in self.declared

    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        store = cls(disk)
        await store.start()
        try:
            yield store
        finally:
            store.stop()

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

    def check_id(self, name):
        check_persistence_id(name)

    def key(self, name):
        return name

    def of(self, name):
        self.check_id(name)
        return self.disk.logs.setdefault(self.key(name), {})

    def now(self):
        return time.time_ns() // 1_000_000

    async def save(self, metadata, snapshot):
        await self.begin()
        saved = self.put(metadata, snapshot)
        await self.end()
        return saved

    def put(self, metadata, snapshot):
        self.check(metadata, snapshot)
        saved = attrs.evolve(metadata, timestamp=self.now())
        snapshots = self.of(metadata.persistence_id)
        if not self.can(Capability.MULTIPLE_SNAPSHOTS):
            snapshots.clear()
        snapshots[metadata.sequence_nr] = [self.kept(saved), self.copied(snapshot)]
        return saved

    def check(self, metadata, snapshot):
        if not isinstance(snapshot, PLAIN):
            raise SerializationError("cannot serialize")
        if metadata.metadata is not None and not self.can(Capability.METADATA):
            raise SerializationError("no metadata")

    def kept(self, metadata):
        return attrs.evolve(metadata, metadata=copy.deepcopy(metadata.metadata))

    def copied(self, snapshot):
        return copy.deepcopy(snapshot)

    def matches(self, criteria, metadata):
        return criteria.matches(metadata)

    def matches_for_delete(self, criteria, metadata):
        return criteria.matches(metadata)

    def rank(self, entry):
        return entry[0].sequence_nr

    async def load(self, persistence_id, criteria=LATEST):
        await self.begin()
        found = self.newest(persistence_id, criteria)
        await self.end()
        return found

    def newest(self, name, criteria):
        found = [entry for entry in self.of(name).values() if self.matches(criteria, entry[0])]
        ranked = sorted(found, key=self.rank, reverse=True)
        for metadata, snapshot in ranked:
            if snapshot != "\x00damaged":
                return SelectedSnapshot(copy.deepcopy(metadata), copy.deepcopy(snapshot))
            if not self.can(Capability.SNAPSHOT_FALLBACK):
                break
        return self.unreadable() if ranked else None

    def unreadable(self):
        raise SnapshotUnreadable("damaged")

    async def delete(self, metadata):
        await self.begin()
        self.remove(metadata)
        await self.end()

    def remove(self, metadata):
        snapshots = self.of(metadata.persistence_id)
        entry = snapshots.get(metadata.sequence_nr)
        if entry is not None and metadata.timestamp in {0, entry[0].timestamp}:
            del snapshots[metadata.sequence_nr]

    async def delete_matching(self, persistence_id, criteria):
        await self.begin()
        self.remove_matching(persistence_id, criteria)
        await self.end()

    def remove_matching(self, name, criteria):
        snapshots = self.of(name)
        for number in [n for n, entry in snapshots.items() if self.matches_for_delete(criteria, entry[0])]:
            del snapshots[number]


def lacking(*capabilities):
    return SmallSnapshots.declared - frozenset(capabilities)
