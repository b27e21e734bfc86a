"""The snapshot store in memory: the contract of `kafka_persist.abc.SnapshotStore`, as plainly as possible."""

from __future__ import annotations

import attrs
import trio

from kafka_persist._core.selection import newest_first, superseded
from kafka_persist.abc import Capability, SnapshotStore
from kafka_persist.errors import SnapshotUnreadable, StoreClosed, StoredDataError, printable
from kafka_persist.model import (
    LATEST,
    SelectedSnapshot,
    SelectionCriteria,
    SnapshotMetadata,
    check_persistence_id,
)
from kafka_persist.serialization import Serializer

from .backend import EncodedValue, MemoryBackend, StoredSnapshot


class MemorySnapshotStore(SnapshotStore):
    """A snapshot store over a `MemoryBackend`; opened by `open_memory_snapshot_store`."""

    def __init__(
        self, backend: MemoryBackend, serializer: Serializer, *, keep: int | None, fallback: bool, durable: bool
    ) -> None:
        self._backend = backend
        self._serializer = serializer
        self._keep = keep
        self._fallback = fallback
        self._durable = durable
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemorySnapshotStore {'closed' if self._closed else 'open'}, {len(self._backend.snapshots)} ids>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Depends on the options that the store was opened with."""
        options = {
            Capability.DURABLE: self._durable,
            Capability.MULTIPLE_SNAPSHOTS: self._keep != 1,
            Capability.SNAPSHOT_FALLBACK: self._fallback,
        }
        return frozenset({Capability.METADATA, *(name for name, has in options.items() if has)})

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    async def _begin(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise StoreClosed("this memory snapshot store is closed; use it inside its `async with` block")

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """See `SnapshotStore.save`."""
        await self._begin()
        encoded = EncodedValue.of(self._serializer, snapshot, metadata.metadata)
        saved = attrs.evolve(metadata, timestamp=self._backend.clock())
        of_id = self._backend.snapshots.setdefault(metadata.persistence_id, {})
        of_id[metadata.sequence_nr] = StoredSnapshot(attrs.evolve(saved, metadata=None), encoded)
        for old in superseded((stored.metadata for stored in of_id.values()), self._keep or len(of_id)):
            del of_id[old.sequence_nr]
        await trio.lowlevel.cancel_shielded_checkpoint()
        return saved

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """See `SnapshotStore.load`."""
        await self._begin()
        found = self._newest_readable(check_persistence_id(persistence_id), criteria)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return found

    def _newest_readable(self, persistence_id: str, criteria: SelectionCriteria) -> SelectedSnapshot | None:
        candidates = newest_first(self._of(persistence_id), criteria)
        for metadata in candidates:
            try:
                return self._decoded(metadata)
            except StoredDataError as error:
                if not self._fallback or metadata is candidates[-1]:
                    unreadable = SnapshotUnreadable(
                        f"{printable(persistence_id)}: the snapshot at {metadata.sequence_nr} cannot be read: {error}"
                    )
                    unreadable.metadata = metadata
                    raise unreadable from error
        return None

    def _decoded(self, metadata: SnapshotMetadata) -> SelectedSnapshot:
        encoded = self._backend.snapshots[metadata.persistence_id][metadata.sequence_nr].encoded
        snapshot, opaque = encoded.load(self._serializer)
        return SelectedSnapshot(attrs.evolve(metadata, metadata=opaque), snapshot)

    def _of(self, persistence_id: str) -> list[SnapshotMetadata]:
        return [stored.metadata for stored in self._backend.snapshots.get(persistence_id, {}).values()]

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """See `SnapshotStore.delete`."""
        await self._begin()
        of_id = self._backend.snapshots.get(metadata.persistence_id, {})
        stored = of_id.get(metadata.sequence_nr)
        if stored is not None and metadata.timestamp in (0, stored.metadata.timestamp):
            del of_id[metadata.sequence_nr]
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """See `SnapshotStore.delete_matching`."""
        await self._begin()
        for metadata in filter(criteria.matches, self._of(check_persistence_id(persistence_id))):
            del self._backend.snapshots[persistence_id][metadata.sequence_nr]
        await trio.lowlevel.cancel_shielded_checkpoint()
