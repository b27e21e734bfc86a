"""Saves snapshots of one entity or view: by hand, and in the background every so many events.

The state, its number and the journal's bookmark are taken together, without a checkpoint between them. At most one
snapshot at a time is saved in the background; one that fails is logged, and the next comes as many events later.
"""

from __future__ import annotations

import logging
from typing import Any

import trio

from ..abc import Capability
from ..errors import printable
from ..model import SnapshotMetadata
from .services import Services

_log = logging.getLogger("kafka_persist.entity")


class Snapshots:
    """The snapshots under one id.

    Attributes:
        saved_nr: number of the newest snapshot that is known to be saved; None for none.
        last_error: why the last one in the background was not saved; None if it was.
    """

    __slots__ = ("_every", "_metadata", "_saving", "_services", "_snapshot_id", "_tried_nr", "last_error", "saved_nr")

    def __init__(
        self, services: Services, snapshot_id: str, *, every: int | None, metadata: Any, saved_nr: int | None
    ) -> None:
        self.saved_nr = saved_nr
        self.last_error: Exception | None = None
        self._services = services
        self._snapshot_id = snapshot_id
        self._every = every
        self._metadata = metadata
        self._tried_nr = saved_nr or 0
        self._saving: trio.Event | None = None

    def describe(self, sequence_nr: int, bookmark: bytes | None) -> SnapshotMetadata:
        """Return the metadata of a snapshot of now."""
        metadata = self._metadata if Capability.METADATA in self._services.snapshot_store.capabilities else None
        return SnapshotMetadata(
            persistence_id=self._snapshot_id, sequence_nr=sequence_nr, metadata=metadata, bookmark=bookmark
        )

    def is_due(self, sequence_nr: int) -> bool:
        """Whether the background should save one now."""
        return self._every is not None and self._saving is None and sequence_nr - self._tried_nr >= self._every

    def start(self, metadata: SnapshotMetadata, state: object) -> None:
        """Save in the background; never raises for a store that fails."""
        self._tried_nr = metadata.sequence_nr
        saving = trio.Event()
        if self._services.spawn(self._save_in_background, metadata, state, saving):
            self._saving = saving

    async def _save_in_background(self, metadata: SnapshotMetadata, state: object, saving: trio.Event) -> None:
        try:
            await trio.lowlevel.checkpoint()
            try:
                await self.save(metadata, state)
            except Exception as error:  # noqa: BLE001 - whatever it is, the events are stored and the entity goes on
                self.last_error = error
                where = printable(self._snapshot_id), metadata.sequence_nr
                _log.warning("%s: the snapshot at %d was not saved: %s", *where, error)
        finally:
            self._saving = None
            saving.set()

    async def save(self, metadata: SnapshotMetadata, state: object) -> SnapshotMetadata:
        """Save now; see `SnapshotStore.save`."""
        saved = await self._services.snapshot_store.save(metadata, state)
        self.saved_nr = max(self.saved_nr or 0, saved.sequence_nr)
        self.last_error = None
        return saved

    async def wait_saved(self) -> None:
        """Wait until nothing is being saved in the background."""
        await trio.lowlevel.checkpoint()
        while self._saving is not None:
            await self._saving.wait()
