"""Snapshot stores that break promises about saving and deleting."""

import attrs
import trio

from kafka_persist.abc import Capability

from .registry import snapshots_mutant
from .small_snapshots import SmallSnapshots, lacking

# --- save ---


@snapshots_mutant("the caller's object is kept", "test_later_changes_do_not_reach_the_store")
class SnapshotShared(SmallSnapshots):
    def copied(self, snapshot):
        return snapshot


@snapshots_mutant("the caller's timestamp is kept", "test_the_store_sets_the_timestamp")
class CallersTimestamp(SmallSnapshots):
    def put(self, metadata, snapshot):
        if not metadata.timestamp:
            return super().put(metadata, snapshot)
        self.of(metadata.persistence_id)[metadata.sequence_nr] = [metadata, snapshot]
        return metadata


@snapshots_mutant("undeclared metadata is dropped in silence", "test_metadata_is_refused_if_not_declared")
class SnapshotMetadataSilentlyDropped(SmallSnapshots):
    declared = lacking(Capability.METADATA)

    def put(self, metadata, snapshot):
        return super().put(attrs.evolve(metadata, metadata=None), snapshot)


@snapshots_mutant("saves at once overwrite each other", "test_saves_at_once_are_all_there")
class SavesOverwrite(SmallSnapshots):
    async def save(self, metadata, snapshot):
        self.current = metadata
        await trio.lowlevel.checkpoint()
        return await super().save(attrs.evolve(self.current, sequence_nr=metadata.sequence_nr), snapshot)


@snapshots_mutant("the third snapshot of an id pushes the first out", "test_generated_runs_agree_with_a_list")
class FourthPushesOut(SmallSnapshots):
    def put(self, metadata, snapshot):
        saved = super().put(metadata, snapshot)
        entries = self.of(metadata.persistence_id)
        if len(entries) == 3 and 0 in entries:
            del entries[0]
        return saved


# --- delete ---


@snapshots_mutant("a delete with a timestamp does nothing", "test_one_snapshot_is_deleted_by_number_and_time")
class DeleteWithTimeDoesNothing(SmallSnapshots):
    def remove(self, metadata):
        if not metadata.timestamp:
            super().remove(metadata)


@snapshots_mutant(
    "criteria delete the newest match only", "test_matching_snapshots_are_deleted", "test_everything_can_be_deleted"
)
class DeletesNewestOnly(SmallSnapshots):
    def remove_matching(self, name, criteria):
        numbers = [n for n, entry in self.of(name).items() if criteria.matches(entry[0])]
        if numbers:
            del self.of(name)[max(numbers)]
