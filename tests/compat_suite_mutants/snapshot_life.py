"""Snapshot stores that break promises over their life and under faults."""

import copy
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite.memory_faults import FaultySnapshotStore, MemoryFaults
from kafka_persist.abc import Capability
from kafka_persist.errors import ConnectError, StoreClosed, WriteOutcomeUnknown
from kafka_persist.memory import open_memory_snapshot_store

from .leftovers import leave_a_thread
from .registry import snapshots_mutant
from .small_snapshots import SmallSnapshots, lacking

# --- life ---


@snapshots_mutant("snapshots reach the disk when the store is closed", "test_snapshots_survive_a_crash")
class SnapshotsFlushOnClose(SmallSnapshots):
    def __init__(self, disk):
        super().__init__(attrs.evolve(disk, logs=copy.deepcopy(disk.logs)))
        self.real = disk

    def stop(self):
        super().stop()
        self.real.logs.update(self.disk.logs)


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


@snapshots_mutant("a thread is left behind", "test_leaving_the_block_ends_threads_and_descriptors")
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
            await self.delete(metadata)  # noqa: ASYNC120 - the exception is only a reason to wait
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
