"""Promises of `SnapshotStore.delete` and `delete_matching`: exactly these, and later saves are not affected."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.model import LATEST, SelectionCriteria

from ..engine.case import Promises, case
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe, open_five_snapshots, open_probe, up_to

MANY = [Capability.MULTIPLE_SNAPSHOTS]


class SnapshotDeleteCases(Promises):
    """Deleting snapshots."""

    group = "Deleting snapshots"

    @case(requires=MANY)
    async def test_one_snapshot_is_deleted_by_its_number(self, subject: SnapshotSubject) -> None:
        """S7. Deleting 13 with the timestamp 0 ("any") removes 13 and nothing else.

        Why: callers know the number, rarely the time.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete(13)
            await probe.gives(12, up_to(13))
            for number in (11, 12, 14, 15):
                await probe.gives(number, up_to(number))

    @case()
    async def test_one_snapshot_is_deleted_by_number_and_time(self, subject: SnapshotSubject) -> None:
        """N1, S7. Deleting with the timestamp that save gave removes the snapshot.

        Why: this is the metadata that the caller has in its hand.
        """
        async with open_probe(subject) as probe:
            metadata = await probe.save(13)
            await probe.store.delete(metadata)
            await probe.gives(None)

    @case()
    async def test_another_timestamp_deletes_nothing(self, subject: SnapshotSubject) -> None:
        """N2. Deleting with a timestamp that is lower or higher than the stored one removes nothing.

        Why: the caller means a save that was replaced meanwhile.
        """
        async with open_probe(subject) as probe:
            metadata = await probe.save(13)
            await probe.delete(13, metadata.timestamp - 1)
            await probe.delete(13, metadata.timestamp + 1)
            await probe.gives(13)

    @case()
    async def test_deleting_what_does_not_exist_succeeds(self, subject: SnapshotSubject) -> None:
        """S23. Deleting a missing number, an unknown id, and by criteria that match nothing succeeds.

        Why: retention repeats its deletes.
        """
        async with open_probe(subject) as probe:
            await probe.delete(99)
            await probe.delete_matching(up_to(99))
            await probe.save(5)
            await probe.delete(4)
            await probe.delete(6)
            await probe.delete_matching(up_to(4))
            await probe.gives(5)

    @case(requires=MANY)
    async def test_matching_snapshots_are_deleted(self, subject: SnapshotSubject) -> None:
        """S8. Deleting up to 13 and the time of 13 removes 11, 12, 13; 14 and 15 stay.

        Why: this is retention.
        """
        async with open_five_snapshots(subject) as probe:
            stamp = probe.saved[13].timestamp
            await probe.delete_matching(SelectionCriteria(max_sequence_nr=13, max_timestamp=stamp))
            await probe.gives(None, up_to(13))
            await probe.gives(14, up_to(14))
            await probe.gives(15)

    @case(requires=MANY)
    async def test_a_timestamp_bound_saves_newer_snapshots(self, subject: SnapshotSubject) -> None:
        """S9. Deleting up to 14 and one millisecond before its time leaves 14.

        Why: "older than" must not take what is newer.
        """
        async with open_five_snapshots(subject) as probe:
            stamp = probe.saved[14].timestamp
            await probe.delete_matching(SelectionCriteria(max_sequence_nr=14, max_timestamp=stamp - 1))
            await probe.gives(14, up_to(14))
            await probe.gives(None, up_to(13))

    @case(requires=MANY)
    async def test_the_lower_number_bound_saves_older_snapshots(self, subject: SnapshotSubject) -> None:
        """S14, C25. Deleting from 13 to 14 leaves 12 and 15.

        Why: a lower bound that is ignored deletes everything.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(SelectionCriteria(min_sequence_nr=13, max_sequence_nr=14))
            await probe.gives(12, up_to(14))
            await probe.gives(11, up_to(11))
            await probe.gives(15)

    @case(requires=MANY)
    async def test_the_lower_timestamp_bound_saves_older_snapshots(self, subject: SnapshotSubject) -> None:
        """S14, C25. Deleting from the time of 13 on leaves 11 and 12.

        Why: a lower bound that is ignored deletes everything.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(SelectionCriteria(min_timestamp=probe.saved[13].timestamp))
            await probe.gives(12)
            await probe.gives(11, up_to(11))

    @case()
    async def test_an_empty_interval_deletes_nothing(self, subject: SnapshotSubject) -> None:
        """S14. Criteria whose lower bound is above the upper one delete nothing.

        Why: computed bounds cross.
        """
        async with open_five_snapshots(subject) as probe:
            stamp = probe.saved[15].timestamp
            await probe.delete_matching(SelectionCriteria(min_sequence_nr=15, max_sequence_nr=14))
            await probe.delete_matching(SelectionCriteria(min_timestamp=stamp + 1, max_timestamp=stamp))
            await probe.gives(15)

    @case()
    async def test_everything_can_be_deleted(self, subject: SnapshotSubject) -> None:
        """S8. Criteria without bounds delete all snapshots of the id.

        Why: an entity is deleted for good.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(LATEST)
            await probe.gives(None)

    @case()
    async def test_saves_after_a_delete_are_visible(self, subject: SnapshotSubject) -> None:
        """S18. After deleting everything, a save of the same numbers, and of lower ones, is visible.

        Why: a delete that is kept as a rule swallows what comes later.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(up_to(20))
            await probe.save(3)
            await probe.gives(3)
            await probe.save(15, "again")
            await probe.gives(15)
            await probe.delete(15)
            await probe.save(15, "and again")
            await probe.gives(15)

    @case(requires=MANY)
    async def test_two_deletes_both_hold(self, subject: SnapshotSubject) -> None:
        """S19. Deleting 11 to 12 and then 14 to 14 leaves 13 and 15.

        Why: a store that remembers the last delete only forgets the first.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(SelectionCriteria(min_sequence_nr=11, max_sequence_nr=12))
            await probe.delete_matching(SelectionCriteria(min_sequence_nr=14, max_sequence_nr=14))
            await probe.gives(None, up_to(12))
            await probe.gives(13, up_to(14))
            await probe.gives(15)

    @case()
    async def test_a_delete_touches_one_id_only(self, subject: SnapshotSubject) -> None:
        """S15, C25. Deleting the snapshots of one id leaves those of ids that share a prefix with it.

        Why: a delete by pattern takes the neighbours with it.
        """
        base = subject.id()
        async with subject.open() as store:
            probes = [SnapshotProbe(subject, store, name) for name in (base, base + "1", base + "-x", "x" + base)]
            for probe in probes:
                await probe.save(5)
            await probes[0].delete_matching(LATEST)
            await probes[0].delete(5)
            await probes[0].gives(None)
            for probe in probes[1:]:
                await probe.gives(5)
