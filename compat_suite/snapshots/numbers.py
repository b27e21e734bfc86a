"""Promises about large sequence numbers and timestamps of snapshots: exact in every argument and result."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR, SelectionCriteria

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_whole
from ..engine.subject import SnapshotSubject
from ..journal.numbers import BASES
from .probe import SnapshotProbe, open_probe, up_to


class SnapshotNumberCases(Promises):
    """Large numbers of snapshots."""

    group = "Numbers of snapshots"

    @case(requires=[Capability.MULTIPLE_SNAPSHOTS], limit=30.0)
    async def test_large_numbers_are_selected_exactly(self, subject: SnapshotSubject) -> None:
        """S14, H4. Bounds of a load are exact for snapshots next to each other beyond 2**32, 2**53 and 2**62.

        Why: a store that puts numbers through floats gives the state of a neighbour.
        """
        async with subject.open() as store:
            for base in BASES:
                probe = SnapshotProbe(subject, store, subject.id(f"selected-{base}"))
                numbers = range(base + 1, base + 5)
                for number in numbers:
                    await probe.save(number)
                await probe.gives(base + 4)
                for number in numbers:
                    await probe.gives(number, up_to(number))
                    await probe.gives(number, SelectionCriteria(min_sequence_nr=number, max_sequence_nr=number))
                await probe.gives(None, SelectionCriteria(min_sequence_nr=base + 5))
                await probe.gives(None, up_to(base))

    @case(requires=[Capability.MULTIPLE_SNAPSHOTS], limit=30.0)
    async def test_large_numbers_are_deleted_exactly(self, subject: SnapshotSubject) -> None:
        """S7, S14, H4. Of snapshots next to each other beyond 2**53, a delete takes the one that it names.

        Why: a state that was deleted instead of another one is gone.
        """
        async with subject.open() as store:
            for base in BASES:
                probe = SnapshotProbe(subject, store, subject.id(f"deleted-{base}"))
                for number in range(base + 1, base + 6):
                    await probe.save(number)
                await probe.delete(base + 5)
                await probe.gives(base + 4)
                await probe.delete_matching(SelectionCriteria(min_sequence_nr=base + 3, max_sequence_nr=base + 3))
                await probe.gives(base + 4)
                await probe.gives(base + 2, up_to(base + 3))
                await probe.delete_matching(up_to(base + 1))
                await probe.gives(base + 2, up_to(base + 3))
                await probe.gives(None, up_to(base + 1))

    @case(limit=20.0)
    async def test_large_numbers_come_back(self, subject: SnapshotSubject) -> None:
        """S4, H4. The metadata of a save and of a load have the number that was saved, as a whole number.

        Why: replay goes on behind the snapshot's number; one off, an event is lost or comes twice.
        """
        async with subject.open() as store:
            for base in (0, *BASES, MAX_SEQUENCE_NR - 1):
                probe = SnapshotProbe(subject, store, subject.id(f"back-{base}"))
                saved = await probe.save(base + 1)
                expect_whole([saved.sequence_nr, saved.timestamp], "the metadata of a save")
                await probe.gives(base + 1)

    @case(limit=20.0)
    async def test_timestamp_bounds_are_exact_at_every_size(self, subject: SnapshotSubject) -> None:
        """S2, S14. Timestamp bounds around a snapshot's own, at 0, and beyond 2**53 select what they say.

        Why: bounds in seconds, in floats or in 32 bits select too much or too little.
        """
        async with open_probe(subject) as probe:
            stamp = (await probe.save(5)).timestamp
            for low in (0, 1, stamp - 1, stamp):
                for high in (stamp, stamp + 1, 2**53 + 1, MAX_SEQUENCE_NR):
                    await probe.gives(5, SelectionCriteria(min_timestamp=low, max_timestamp=high))
            for low, high in (
                (stamp + 1, MAX_SEQUENCE_NR),
                (0, stamp - 1),
                (2**53 + 1, 2**62),
                (MAX_SEQUENCE_NR, MAX_SEQUENCE_NR),
                (0, 0),
            ):
                criteria = SelectionCriteria(min_timestamp=low, max_timestamp=high)
                await probe.gives(None, criteria)
                await probe.delete_matching(criteria)
            await probe.gives(5)
            await probe.delete_matching(SelectionCriteria(min_timestamp=stamp, max_timestamp=stamp))
            await probe.gives(None)

    @case(limit=20.0)
    async def test_a_timestamp_is_one_number_everywhere(self, subject: SnapshotSubject) -> None:
        """C24, N1. The timestamp that save gives is the one that load gives, and the one that a delete compares with.

        Why: a timestamp that is rounded on the disk can never be named again.
        """
        async with subject.open() as store:
            for turn in range(5):
                probe = SnapshotProbe(subject, store, subject.id(f"stamp-{turn}"))
                saved = await probe.save(turn)
                found = await store.load(probe.persistence_id)
                expect(found and found.metadata.timestamp, saved.timestamp, "the timestamp of the loaded snapshot")
                await probe.delete(turn, saved.timestamp + 1)
                await probe.delete(turn, max(1, saved.timestamp - 1))
                await probe.gives(turn)
                await probe.delete(turn, saved.timestamp)
                await probe.gives(None)
                await probe.next_millisecond()
