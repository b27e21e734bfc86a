"""The 20 known snapshot store defects that existing contract suites were measured with: they find 6."""

import attrs

from kafka_persist.model import MAX_SEQUENCE_NR

from .registry import mutant
from .small_snapshots import SmallSnapshots

SNAPSHOTS = "snapshots"


def _without(criteria, **changes):
    return attrs.evolve(criteria, **changes)


@mutant(
    "the sequence number bound is exclusive", "test_the_upper_number_bound_is_inclusive", listed=True, kind=SNAPSHOTS
)
class NumberBoundExclusive(SmallSnapshots):
    def matches(self, criteria, metadata):
        open_end = criteria.max_sequence_nr == MAX_SEQUENCE_NR
        return criteria.matches(metadata) and (open_end or metadata.sequence_nr < criteria.max_sequence_nr)


@mutant(
    "the timestamp bound is ignored by load",
    "test_a_timestamp_bound_that_nothing_meets_gives_none",
    listed=True,
    kind=SNAPSHOTS,
)
class TimeBoundIgnoredOnLoad(SmallSnapshots):
    def matches(self, criteria, metadata):
        return _without(criteria, max_timestamp=MAX_SEQUENCE_NR).matches(metadata)


@mutant(
    "the timestamp bound is ignored by delete",
    "test_a_timestamp_bound_saves_newer_snapshots",
    listed=True,
    kind=SNAPSHOTS,
)
class TimeBoundIgnoredOnDelete(SmallSnapshots):
    def matches_for_delete(self, criteria, metadata):
        return _without(criteria, max_timestamp=MAX_SEQUENCE_NR).matches(metadata)


@mutant(
    "a second save of a number is ignored",
    "test_a_second_save_of_a_number_replaces_the_first",
    listed=True,
    kind=SNAPSHOTS,
)
class SecondSaveIgnored(SmallSnapshots):
    def put(self, metadata, snapshot):
        entry = self.of(metadata.persistence_id).get(metadata.sequence_nr)
        return entry[0] if entry else super().put(metadata, snapshot)


@mutant(
    "a single delete needs the exact timestamp",
    "test_one_snapshot_is_deleted_by_its_number",
    listed=True,
    kind=SNAPSHOTS,
)
class DeleteNeedsTimestamp(SmallSnapshots):
    def remove(self, metadata):
        if metadata.timestamp:
            super().remove(metadata)


@mutant("metadata is not stored", "test_metadata_comes_back", listed=True, kind=SNAPSHOTS)
class SnapshotMetadataDropped(SmallSnapshots):
    def kept(self, metadata):
        return attrs.evolve(metadata, metadata=None)


@mutant("lower bounds are ignored by load", "test_the_lower_number_bound_applies", listed=True, kind=SNAPSHOTS)
class LowerBoundsIgnoredOnLoad(SmallSnapshots):
    def matches(self, criteria, metadata):
        return _without(criteria, min_sequence_nr=0, min_timestamp=0).matches(metadata)


@mutant(
    "lower bounds are ignored by delete (jdbc#591)",
    "test_the_lower_number_bound_saves_older_snapshots",
    listed=True,
    kind=SNAPSHOTS,
)
class LowerBoundsIgnoredOnDelete(SmallSnapshots):
    def matches_for_delete(self, criteria, metadata):
        return _without(criteria, min_sequence_nr=0, min_timestamp=0).matches(metadata)


@mutant("deletes are forgotten by a restart", "test_deletes_survive_a_restart", listed=True, kind=SNAPSHOTS)
class SnapshotDeletesLost(SmallSnapshots):
    """Deletes hide entries in this process only."""

    def __init__(self, disk):
        super().__init__(disk)
        self.gone = set()

    def put(self, metadata, snapshot):
        self.gone.discard((metadata.persistence_id, metadata.sequence_nr))
        return super().put(metadata, snapshot)

    def matches(self, criteria, metadata):
        return (metadata.persistence_id, metadata.sequence_nr) not in self.gone and super().matches(criteria, metadata)

    def remove(self, metadata):
        entry = self.of(metadata.persistence_id).get(metadata.sequence_nr)
        if entry is not None and metadata.timestamp in {0, entry[0].timestamp}:
            self.gone.add((metadata.persistence_id, metadata.sequence_nr))

    def remove_matching(self, name, criteria):
        self.gone |= {(name, n) for n, entry in self.of(name).items() if criteria.matches(entry[0])}


@mutant("snapshots are lost by a restart", "test_snapshots_survive_a_restart", listed=True, kind=SNAPSHOTS)
class SnapshotsLost(SmallSnapshots):
    def stop(self):
        super().stop()
        self.disk.logs.clear()


class _Filters(SmallSnapshots):
    """Deletes by criteria are remembered as filters."""

    def filters(self, name):
        return self.disk.notes.setdefault(name, [])

    def matches(self, criteria, metadata):
        hidden = any(one.matches(metadata) for one in self.filters(metadata.persistence_id))
        return not hidden and super().matches(criteria, metadata)


@mutant(
    "a delete by criteria stays as a filter and hides later saves (krasserm)",
    "test_saves_after_a_delete_are_visible",
    listed=True,
    kind=SNAPSHOTS,
)
class DeleteIsAFilter(_Filters):
    def remove_matching(self, name, criteria):
        self.filters(name).append(criteria)


@mutant(
    "a second delete by criteria forgets the first (krasserm)",
    "test_two_deletes_both_hold",
    listed=True,
    kind=SNAPSHOTS,
)
class SecondDeleteForgetsFirst(_Filters):
    def put(self, metadata, snapshot):
        self.filters(metadata.persistence_id).clear()
        return super().put(metadata, snapshot)

    def remove_matching(self, name, criteria):
        self.filters(name)[:] = [criteria]


@mutant(
    "overwriting leaves an old copy that a delete brings back",
    "test_a_replaced_snapshot_does_not_come_back",
    listed=True,
    kind=SNAPSHOTS,
)
class OldCopyComesBack(SmallSnapshots):
    def put(self, metadata, snapshot):
        old = self.of(metadata.persistence_id).get(metadata.sequence_nr)
        saved = super().put(metadata, snapshot)
        if old:
            self.disk.notes[metadata.persistence_id, metadata.sequence_nr] = old
        return saved

    def remove(self, metadata):
        super().remove(metadata)
        old = self.disk.notes.pop((metadata.persistence_id, metadata.sequence_nr), None)
        if old:
            self.of(metadata.persistence_id)[metadata.sequence_nr] = old


@mutant("a delete by criteria reaches other ids", "test_a_delete_touches_one_id_only", listed=True, kind=SNAPSHOTS)
class SnapshotDeleteReachesOthers(SmallSnapshots):
    def remove_matching(self, name, criteria):
        for other in [key for key in self.disk.logs if key.startswith(name)]:
            super().remove_matching(other, criteria)


@mutant(
    "large snapshots are cut (akka#21704)", "test_snapshots_of_every_size_are_loaded_back", listed=True, kind=SNAPSHOTS
)
class SnapshotCut(SmallSnapshots):
    def copied(self, snapshot):
        return super().copied(snapshot[:65_535] if isinstance(snapshot, str) else snapshot)


@mutant("ids collide", "test_ids_do_not_share_snapshots", listed=True, kind=SNAPSHOTS)
class SnapshotIdsCollide(SmallSnapshots):
    def key(self, name):
        return "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in name)


@mutant(
    "the newest is the latest saved, not the highest number",
    "test_the_highest_number_wins_not_the_latest_time",
    listed=True,
    kind=SNAPSHOTS,
)
class NewestByTime(SmallSnapshots):
    def rank(self, entry):
        return entry[0].timestamp, entry[0].sequence_nr


@mutant("deleting a missing snapshot fails", "test_deleting_what_does_not_exist_succeeds", listed=True, kind=SNAPSHOTS)
class MissingDeleteFails(SmallSnapshots):
    def remove(self, metadata):
        del self.of(metadata.persistence_id)[metadata.sequence_nr]


@mutant("the sequence number 0 cannot be used", "test_number_zero_is_a_snapshot", listed=True, kind=SNAPSHOTS)
class ZeroUnusable(SmallSnapshots):
    def matches(self, criteria, metadata):
        return metadata.sequence_nr > 0 and super().matches(criteria, metadata)


@mutant(
    "an unreadable snapshot is reported as none (akka#21842)",
    "test_an_unreadable_snapshot_is_an_error",
    listed=True,
    kind=SNAPSHOTS,
)
class UnreadableIsNone(SmallSnapshots):
    def unreadable(self):
        return None
