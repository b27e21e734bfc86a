"""Further snapshot store defects, so that every case is seen to fail once."""

import copy
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite.capabilities import SNAPSHOT_STORE
from compat_suite.memory_faults import FaultySnapshotStore, MemoryFaults
from kafka_persist.abc import Capability
from kafka_persist.errors import ConnectError, StoreClosed, WriteOutcomeUnknown
from kafka_persist.memory import open_memory_snapshot_store
from kafka_persist.model import MAX_SEQUENCE_NR, SelectedSnapshot

from .leftovers import leave_a_thread
from .registry import mutant
from .small_snapshots import SmallSnapshots

SNAPSHOTS = "snapshots"


def snapshots_mutant(defect, *killed_by):
    return mutant(defect, *killed_by, kind=SNAPSHOTS)


def lacking(*capabilities):
    return SmallSnapshots.declared - frozenset(capabilities)


# --- load ---


@snapshots_mutant("an unknown id gets the snapshot of another", "test_an_unknown_id_has_no_snapshot")
class UnknownGetsOther(SmallSnapshots):
    def newest(self, name, criteria):
        found = super().newest(name, criteria)
        others = [key for key, entries in self.disk.logs.items() if entries]
        return found or (super().newest(others[0], criteria) if others and not self.of(name) else None)


@snapshots_mutant(
    "a number bound that nothing meets gives the oldest", "test_a_number_bound_that_nothing_meets_gives_none"
)
class OldestInstead(SmallSnapshots):
    def newest(self, name, criteria):
        found = super().newest(name, criteria)
        entries = sorted(self.of(name).items())
        if found is None and entries and criteria.max_sequence_nr < entries[0][0]:
            return SelectedSnapshot(*entries[0][1])
        return found


@snapshots_mutant("the oldest matching snapshot is loaded", "test_the_newest_snapshot_is_loaded")
class OldestLoaded(SmallSnapshots):
    def rank(self, entry):
        return -entry[0].sequence_nr


@snapshots_mutant("either bound is enough", "test_number_and_timestamp_bounds_apply_together")
class EitherBound(SmallSnapshots):
    def matches(self, criteria, metadata):
        number = metadata.sequence_nr <= criteria.max_sequence_nr
        stamp = metadata.timestamp <= criteria.max_timestamp
        if MAX_SEQUENCE_NR in {criteria.max_timestamp, criteria.max_sequence_nr}:
            return super().matches(criteria, metadata)
        return number or stamp


@snapshots_mutant("with an upper bound the lower one is ignored", "test_lower_and_upper_number_bounds_apply_together")
class LowerIgnoredWithUpper(SmallSnapshots):
    def matches(self, criteria, metadata):
        if criteria.max_sequence_nr < MAX_SEQUENCE_NR:
            criteria = attrs.evolve(criteria, min_sequence_nr=0)
        return super().matches(criteria, metadata)


@snapshots_mutant(
    "the lower timestamp bound is ignored",
    "test_the_lower_timestamp_bound_applies",
    "test_lower_timestamp_and_upper_number_apply_together",
)
class LowerTimeIgnored(SmallSnapshots):
    def matches(self, criteria, metadata):
        return super().matches(attrs.evolve(criteria, min_timestamp=0), metadata)


@snapshots_mutant("the key is the timestamp", "test_equal_timestamps_are_no_trouble")
class KeyIsTimestamp(SmallSnapshots):
    def put(self, metadata, snapshot):
        saved = super().put(metadata, snapshot)
        entries = self.of(metadata.persistence_id)
        for number in [
            n for n, entry in entries.items() if entry[0].timestamp == saved.timestamp and n != saved.sequence_nr
        ]:
            del entries[number]
        return saved


@snapshots_mutant("a view's prefix is cut off", "test_view_ids_have_their_own_snapshots")
class PrefixCutOff(SmallSnapshots):
    def key(self, name):
        return name.removeprefix("snapshot-")


@snapshots_mutant("numbers are 32 bits wide", "test_a_snapshot_without_a_journal_is_loaded")
class NarrowNumbers(SmallSnapshots):
    def matches(self, criteria, metadata):
        return metadata.sequence_nr < 2**31 and super().matches(criteria, metadata)


@snapshots_mutant(
    "the fallback gives none instead of the older snapshot", "test_an_unreadable_snapshot_falls_back_to_an_older_one"
)
class FallbackGivesNone(SmallSnapshots):
    declared = SNAPSHOT_STORE

    def newest(self, name, criteria):
        entries = self.of(name)
        if entries and entries[max(entries)][1] == "\x00damaged":
            return None
        return super().newest(name, criteria)


@snapshots_mutant("if all are damaged there is none", "test_if_no_snapshot_is_readable_it_is_an_error")
class AllDamagedIsNone(SmallSnapshots):
    declared = SNAPSHOT_STORE

    def unreadable(self):
        return None


@snapshots_mutant("of one snapshot the first is kept", "test_a_store_of_one_snapshot_keeps_the_newest")
class FirstIsKept(SmallSnapshots):
    declared = lacking(Capability.MULTIPLE_SNAPSHOTS)

    def put(self, metadata, snapshot):
        entries = self.of(metadata.persistence_id)
        if entries and metadata.sequence_nr not in entries:
            return attrs.evolve(metadata, timestamp=self.now())
        return super().put(metadata, snapshot)


@snapshots_mutant("declares more than it is asked for", "test_the_store_declares_what_its_spec_declares")
class DeclaresMore(SmallSnapshots):
    @property
    def capabilities(self):
        return SNAPSHOT_STORE


# --- save ---


@snapshots_mutant("of a burst the first save wins", "test_in_a_burst_the_last_save_wins")
class FirstOfBurst(SmallSnapshots):
    def put(self, metadata, snapshot):
        entry = self.of(metadata.persistence_id).get(metadata.sequence_nr)
        if entry and entry[0].timestamp >= self.now():
            return entry[0]
        return super().put(metadata, snapshot)


@snapshots_mutant("booleans come back as numbers", "test_values_of_every_declared_type_come_back")
class SnapshotBooleansLost(SmallSnapshots):
    def copied(self, snapshot):
        return int(snapshot) if isinstance(snapshot, bool) else super().copied(snapshot)


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


@snapshots_mutant("a failed save deletes the older snapshot", "test_an_unserializable_snapshot_is_an_error")
class FailedSaveDeletes(SmallSnapshots):
    def check(self, metadata, snapshot):
        older = dict(self.of(metadata.persistence_id))
        self.of(metadata.persistence_id).clear()
        super().check(metadata, snapshot)
        self.of(metadata.persistence_id).update(older)


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


@snapshots_mutant("the timestamp of a delete is ignored", "test_another_timestamp_deletes_nothing")
class DeleteIgnoresTime(SmallSnapshots):
    def remove(self, metadata):
        super().remove(attrs.evolve(metadata, timestamp=0))


@snapshots_mutant(
    "criteria delete the newest match only", "test_matching_snapshots_are_deleted", "test_everything_can_be_deleted"
)
class DeletesNewestOnly(SmallSnapshots):
    def remove_matching(self, name, criteria):
        numbers = [n for n, entry in self.of(name).items() if criteria.matches(entry[0])]
        if numbers:
            del self.of(name)[max(numbers)]


@snapshots_mutant(
    "the lower timestamp bound is ignored by delete", "test_the_lower_timestamp_bound_saves_older_snapshots"
)
class LowerTimeIgnoredOnDelete(SmallSnapshots):
    def matches_for_delete(self, criteria, metadata):
        return super().matches_for_delete(attrs.evolve(criteria, min_timestamp=0), metadata)


@snapshots_mutant("an empty interval deletes everything", "test_an_empty_interval_deletes_nothing")
class EmptyIntervalDeletesAll(SmallSnapshots):
    def matches_for_delete(self, criteria, metadata):
        crossed = criteria.min_sequence_nr > criteria.max_sequence_nr or criteria.min_timestamp > criteria.max_timestamp
        return crossed or super().matches_for_delete(criteria, metadata)


# --- life ---


@snapshots_mutant("snapshots reach the disk when the store is closed", "test_snapshots_survive_a_crash")
class SnapshotsFlushOnClose(SmallSnapshots):
    def __init__(self, disk):
        super().__init__(attrs.evolve(disk, logs=copy.deepcopy(disk.logs)))
        self.real = disk

    def stop(self):
        super().stop()
        self.real.logs.update(self.disk.logs)


@snapshots_mutant("a restart applies old deletes to later saves", "test_saves_after_deletes_survive_a_restart")
class OldDeletesApplied(SmallSnapshots):
    def remove_matching(self, name, criteria):
        super().remove_matching(name, criteria)
        self.disk.notes.setdefault(name, []).append(criteria)

    async def start(self):
        for name, deletes in self.disk.notes.items():
            for criteria in deletes:
                super().remove_matching(name, criteria)


@snapshots_mutant(
    "a restart brings the first save of a number back", "test_replaced_snapshots_stay_replaced_after_a_restart"
)
class FirstSaveComesBack(SmallSnapshots):
    def put(self, metadata, snapshot):
        saved = super().put(metadata, snapshot)
        entry = self.of(metadata.persistence_id)[metadata.sequence_nr]
        self.disk.notes.setdefault((metadata.persistence_id, metadata.sequence_nr), entry)
        return saved

    def stop(self):
        super().stop()
        for (name, number), entry in self.disk.notes.items():
            if number in self.disk.logs.get(name, {}):
                self.disk.logs[name][number] = entry


@snapshots_mutant("after a restart the state is empty", "test_without_durability_nothing_is_half_there")
class HalfASnapshot(SmallSnapshots):
    declared = lacking(Capability.DURABLE)

    async def start(self):
        for entries in self.disk.logs.values():
            for entry in entries.values():
                entry[1] = None


@snapshots_mutant(
    "answers without a checkpoint", "test_every_call_is_a_checkpoint", "test_a_cancelled_scope_stops_every_call"
)
class SnapshotsNoCheckpoint(SmallSnapshots):
    async def begin(self):
        if self.closed:
            raise StoreClosed("closed")

    async def end(self):
        pass


@snapshots_mutant("a cancelled save leaves half of it", "test_a_save_that_is_cancelled_is_whole_or_absent")
class CancelledSaveHalf(SmallSnapshots):
    async def save(self, metadata, snapshot):
        await self.begin()
        saved = self.put(metadata, snapshot[: len(snapshot) // 2] if isinstance(snapshot, str) else snapshot)
        await trio.lowlevel.checkpoint()
        self.put(metadata, snapshot)
        return saved


@snapshots_mutant("a cancelled load breaks the store", "test_a_load_that_is_cancelled_leaves_the_store_usable")
class CancelledLoadBreaks(SmallSnapshots):
    async def load(self, persistence_id, criteria=SmallSnapshots.load.__defaults__[0]):
        was, self.closed = self.closed, True
        await trio.lowlevel.checkpoint()
        self.closed = was
        return await super().load(persistence_id, criteria)


@snapshots_mutant("a cancelled delete cannot be repeated", "test_a_delete_that_is_cancelled_can_be_repeated")
class CancelledDeleteOnce(SmallSnapshots):
    async def delete_matching(self, persistence_id, criteria):
        if self.disk.notes.get(persistence_id):
            return
        self.disk.notes[persistence_id] = True
        await trio.lowlevel.checkpoint()
        await super().delete_matching(persistence_id, criteria)
        self.disk.notes[persistence_id] = False


@snapshots_mutant("a thread is left behind", "test_leaving_the_block_ends_threads_and_sockets")
class SnapshotThreadLeft(SmallSnapshots):
    async def start(self):
        leave_a_thread()


@snapshots_mutant("calls after close work", "test_use_after_close_raises_store_closed")
class SnapshotCloseDoesNothing(SmallSnapshots):
    def stop(self):
        pass


@snapshots_mutant("errors of the body come out in a group", "test_errors_of_the_body_come_out_bare")
class SnapshotWrapsErrors(SmallSnapshots):
    @classmethod
    @asynccontextmanager
    async def opened(cls, disk):
        async with trio.open_nursery(), super().opened(disk) as store:
            yield store


@snapshots_mutant("illegal ids are accepted", "test_illegal_ids_are_refused")
class SnapshotIllegalIdsAccepted(SmallSnapshots):
    def check_id(self, name):
        pass


# --- faults ---


def _adapter(store_class):
    class Adapter(MemoryFaults):
        @asynccontextmanager
        async def _open_snapshot_store(self):
            async with open_memory_snapshot_store(self._backend) as inner:
                yield store_class(inner, self.network)

    @asynccontextmanager
    async def open_adapter():
        yield Adapter()

    return staticmethod(open_adapter)


class _DownIsNone(FaultySnapshotStore):
    async def load(self, persistence_id, criteria=SmallSnapshots.load.__defaults__[0]):
        try:
            return await super().load(persistence_id, criteria)
        except ConnectError:
            return None


class _LostIsRejected(FaultySnapshotStore):
    async def save(self, metadata, snapshot):
        try:
            return await super().save(metadata, snapshot)
        except WriteOutcomeUnknown:
            await self.delete(metadata)
            raise


class _LoadShielded(FaultySnapshotStore):
    async def load(self, persistence_id, criteria=SmallSnapshots.load.__defaults__[0]):
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
            return await super().load(persistence_id, criteria)


@snapshots_mutant("a backend that is down looks empty", "test_a_backend_that_is_down_is_never_no_snapshot")
class DownIsNone(SmallSnapshots):
    faults = _adapter(_DownIsNone)


@snapshots_mutant("an unknown save deletes the snapshot", "test_a_save_with_an_unknown_outcome_can_be_repeated")
class UnknownSaveDeletes(SmallSnapshots):
    faults = _adapter(_LostIsRejected)


@snapshots_mutant("a load ignores its caller's deadline", "test_a_load_ends_when_its_caller_gives_up")
class LoadIgnoresDeadline(SmallSnapshots):
    faults = _adapter(_LoadShielded)
