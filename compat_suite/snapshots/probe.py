"""A probe holds the snapshots of one id in one open store, and knows what a load must give back."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from kafka_persist.abc import Capability, SnapshotStore
from kafka_persist.model import LATEST, SelectionCriteria, SnapshotMetadata

from ..engine.expect import expect, expect_metadata, require
from ..engine.subject import SnapshotSubject


@attrs.define(eq=False)
class SnapshotProbe:
    """The snapshots of one id.

    Attributes:
        subject: whose store it is.
        store: open.
        persistence_id: of a case alone.
        saved: the metadata of the last save of each sequence number.
        values: what was saved last under each sequence number.
    """

    subject: SnapshotSubject
    store: SnapshotStore
    persistence_id: str
    saved: dict[int, SnapshotMetadata] = attrs.field(factory=dict)
    values: dict[int, object] = attrs.field(factory=dict)

    async def save(self, sequence_nr: int, value: object = None, metadata: object = None) -> SnapshotMetadata:
        """Save and check the metadata that comes back."""
        asked = SnapshotMetadata(persistence_id=self.persistence_id, sequence_nr=sequence_nr, metadata=metadata)
        chosen = f"s-{sequence_nr}" if value is None else value
        got = await self.store.save(asked, chosen)
        expect((got.persistence_id, got.sequence_nr), (self.persistence_id, sequence_nr), "the metadata of a save")
        require(got.timestamp > 0, "save gave metadata without a timestamp")
        self.saved[sequence_nr], self.values[sequence_nr] = got, chosen
        return got

    async def next_millisecond(self) -> None:
        """Wait until the clock shows another millisecond."""
        now = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= now:  # noqa: ASYNC110 - the wall clock cannot be awaited
            await trio.sleep(0.0005)

    async def gives(self, expected: int | None, criteria: SelectionCriteria = LATEST) -> None:
        """Check that a load gives the snapshot with this sequence number, whole, or none."""
        found = await self.store.load(self.persistence_id, criteria)
        got = None if found is None else found.metadata.sequence_nr
        expect(got, expected, "the sequence number of the loaded snapshot")
        if found is None or expected is None:
            return
        expect(found.snapshot, self.values[expected], f"snapshot {expected}")
        expect_metadata(found.metadata, self.saved[expected], f"snapshot {expected}")

    async def delete(self, sequence_nr: int, timestamp: int = 0) -> None:
        """Delete one snapshot."""
        await self.store.delete(
            SnapshotMetadata(persistence_id=self.persistence_id, sequence_nr=sequence_nr, timestamp=timestamp)
        )

    async def delete_matching(self, criteria: SelectionCriteria) -> None:
        """Delete all matching snapshots."""
        await self.store.delete_matching(self.persistence_id, criteria)

    def at(self, store: SnapshotStore) -> SnapshotProbe:
        """Return the same probe in another open store."""
        return attrs.evolve(self, store=store)

    @property
    def keeps_many(self) -> bool:
        """Whether the store keeps more than the newest snapshot."""
        return self.subject.has(Capability.MULTIPLE_SNAPSHOTS)


def up_to(sequence_nr: int) -> SelectionCriteria:
    """Select by an upper bound."""
    return SelectionCriteria(max_sequence_nr=sequence_nr)


@asynccontextmanager
async def open_probe(subject: SnapshotSubject, label: str = "a") -> AsyncGenerator[SnapshotProbe]:
    """Open the store with an empty probe."""
    async with subject.open() as store:
        yield SnapshotProbe(subject, store, subject.id(label))


@asynccontextmanager
async def open_five_snapshots(subject: SnapshotSubject) -> AsyncGenerator[SnapshotProbe]:
    """Open the store and save the five snapshots of the existing suites: 11 to 15, each in a millisecond of its own."""
    async with open_probe(subject) as probe:
        for sequence_nr in range(11, 16):
            await probe.save(sequence_nr)
            await probe.next_millisecond()
        yield probe
