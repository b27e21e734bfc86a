"""Saves snapshots of one entity or view, and deletes what they replace.

The state, its number and the journal's bookmark are taken together, without a checkpoint between them. At most one
snapshot at a time is saved in the background; one that fails is logged, and the next comes as many events later.

The order of the three steps makes a crash between any two of them safe:

1. Save the snapshot. Until it is stored nothing is deleted.
2. Delete events behind it, up to a margin (`Retention.keep_events`). A recovery that has loaded an older snapshot finds
   events missing and loads the newest snapshot again, which is there.
3. Delete older snapshots. After a crash before this step they only take up room, and the next snapshot's deletion, which
   is one of everything below a number, takes them along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import trio

from ..abc import Capability
from ..errors import printable
from ..model import SelectionCriteria, SnapshotMetadata
from .keys import notes_of
from .log import WARNING, tell
from .retention import Retention
from .services import Services

KEPT: Final = "kept"
"""Key in the metadata of an entity's snapshots: the numbers of the snapshots that were kept beside it."""

OnSnapshot: TypeAlias = Callable[[Exception | None], None]
"""Told of each snapshot that was saved by itself, or of why it was not."""


class Snapshots:
    """The snapshots under one id.

    Attributes:
        saved_nr: number of the newest snapshot that is known to be saved; None for none.
        last_error: why the last one in the background was not saved; None if it was.
        retention: the policy.
    """

    __slots__ = (
        "_kept",
        "_on_snapshot",
        "_owner",
        "_saving",
        "_services",
        "_snapshot_id",
        "_tried_nr",
        "_wanted",
        "last_error",
        "retention",
        "saved_nr",
    )

    def __init__(
        self,
        services: Services,
        snapshot_id: str,
        *,
        retention: Retention,
        newest: SnapshotMetadata | None,
        owner: Any = None,
        on_snapshot: OnSnapshot | None = None,
    ) -> None:
        self.saved_nr: int | None = None if newest is None else newest.sequence_nr
        self.last_error: Exception | None = None
        self.retention: Retention = retention
        self._on_snapshot = on_snapshot
        self._services = services
        self._snapshot_id = snapshot_id
        self._owner = owner
        self._kept = [] if newest is None else [*notes_of(newest.metadata).get(KEPT, ()), newest.sequence_nr]
        self._tried_nr = self.saved_nr or 0
        self._saving: trio.Event | None = None
        self._wanted = False

    def describe(self, sequence_nr: int, bookmark: bytes | None, **notes: Any) -> SnapshotMetadata:
        """Return the metadata of a snapshot of now; `notes` stand in it under their names, those that hold something."""
        metadata = None
        if Capability.METADATA in self._services.snapshot_store.capabilities:
            if self.retention.keep_snapshots is not None:
                notes[KEPT] = self._kept_beside(sequence_nr)
            found = {**(self._owner or {}), **{name: value for name, value in notes.items() if value}}
            metadata = found or None
        return SnapshotMetadata(
            persistence_id=self._snapshot_id, sequence_nr=sequence_nr, metadata=metadata, bookmark=bookmark
        )

    def _kept_beside(self, sequence_nr: int) -> list[int]:
        older = sorted({number for number in self._kept if number < sequence_nr})
        room = (self.retention.keep_snapshots or 1) - 1
        return older[-room:] if room else []

    def is_due(self, sequence_nr: int, *, wanted: bool = False) -> bool:
        """Whether the background should save one now; `wanted`: the predicate asks for one."""
        every = self.retention.snapshot_every
        self._wanted |= wanted  # while another one is being saved, it waits for the next event
        due = self._wanted or (every is not None and sequence_nr - self._tried_nr >= every)
        return due and self._saving is None

    def start(self, metadata: SnapshotMetadata, state: object) -> None:
        """Save in the background, and delete what is replaced; never raises for a store that fails."""
        self._tried_nr, self._wanted = metadata.sequence_nr, False
        saving = trio.Event()
        if self._services.spawn(self._save_in_background, metadata, state, saving):
            self._saving = saving

    async def _save_in_background(self, metadata: SnapshotMetadata, state: object, saving: trio.Event) -> None:
        try:
            await trio.lowlevel.checkpoint()
            await self.save_by_itself(metadata, state)
        finally:
            self._saving = None
            saving.set()

    async def save_by_itself(self, metadata: SnapshotMetadata, state: object) -> None:
        """Save, and delete what is replaced; a failure is logged, and remembered."""
        where = printable(self._snapshot_id)
        try:
            await self.save(metadata, state)
        except Exception as error:  # noqa: BLE001 - whatever it is, the events are stored and the entity goes on
            self.last_error = error
            text = f"{where}: the snapshot at {metadata.sequence_nr} was not saved: {error}"
            tell(WARNING, "snapshot.failed", text, persistence_id=self._snapshot_id)
            self._report(error)
            return
        self._report(None)
        try:
            await self._delete_replaced(metadata)
        except Exception as error:  # noqa: BLE001 - nothing depends on it, and the next snapshot's deletion takes it along
            text = f"{where}: what the snapshot at {metadata.sequence_nr} replaces was not deleted: {error}"
            tell(WARNING, "retention.failed", text, persistence_id=self._snapshot_id)

    def _report(self, error: Exception | None) -> None:
        if self._on_snapshot is not None:
            self._on_snapshot(error)

    async def _delete_replaced(self, saved: SnapshotMetadata) -> None:
        await trio.lowlevel.checkpoint()
        last = self.retention.deletable_to(saved.sequence_nr)
        if last:
            await self._services.journal.delete_to(self._snapshot_id, last)
        oldest = self._oldest_kept()
        if oldest is not None:
            below = SelectionCriteria(max_sequence_nr=oldest - 1)
            await self._services.snapshot_store.delete_matching(self._snapshot_id, below)

    def _oldest_kept(self) -> int | None:
        """The number below which no snapshot is wanted any more; None while there are not more than may stay."""
        keep = self.retention.keep_snapshots
        kept = sorted(set(self._kept))
        return kept[-keep] if keep is not None and len(kept) >= keep and kept[-keep] > 0 else None

    async def save(self, metadata: SnapshotMetadata, state: object) -> SnapshotMetadata:
        """Save now; see `SnapshotStore.save`."""
        about, number = metadata.persistence_id, metadata.sequence_nr
        with self._services.span("snapshot", persistence_id=about, sequence_nr=number):
            saved = await self._services.snapshot_store.save(metadata, state)
        self.saved_nr = max(self.saved_nr or 0, saved.sequence_nr)
        self._kept.append(saved.sequence_nr)
        del self._kept[: -(self.retention.keep_snapshots or 1) - 1]
        self.last_error = None
        return saved

    @property
    def saving(self) -> bool:
        """Whether one is being saved in the background."""
        return self._saving is not None

    async def wait_saved(self) -> None:
        """Wait until nothing is being saved in the background."""
        await trio.lowlevel.checkpoint()
        while self._saving is not None:
            await self._saving.wait()
