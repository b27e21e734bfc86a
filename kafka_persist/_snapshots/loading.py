"""Loading: the newest matching snapshot that can be read, an error, or certainly none.

The index says which snapshots there are; then only the chosen one is read. Between the two it may be deleted, and
compaction may remove its chunks: then it is looked again. What stays incomplete is reported as unreadable, never as
absent.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs

from .._core.snapshot_format import decode_chunk, decode_commit, parse_key
from .._core.snapshot_payload import decode_payload
from .._core.snapshot_saves import Save
from ..config import SnapshotStoreConfig
from ..driver import OffsetGone, Record
from ..errors import (
    CorruptRecord,
    ForeignEvent,
    SnapshotUnreadable,
    StoredDataError,
    TopicMissing,
    printable,
)
from ..model import LATEST, SelectedSnapshot, SelectionCriteria, SnapshotMetadata
from ..serialization import Serializer
from .interface import SnapshotLog

_log = logging.getLogger("kafka_persist.snapshots")

MAX_LOOKS: Final = 50
"""How often a snapshot may be deleted while it is being read."""

LARGE_BYTES: Final = 1024 * 1024
"""Longer stretches are read with a reader of their own."""


@attrs.frozen
class StoredSnapshot:
    """A snapshot that exists.

    Attributes:
        metadata: its id, sequence number and timestamp; `metadata` and `bookmark` are inside the snapshot, which was not read.
        size: bytes, encoded.
        damage: why it cannot be read, as far as that is known without reading it; "" if nothing speaks against it.
    """

    metadata: SnapshotMetadata
    size: int
    damage: str = ""


class _Vanished(Exception):  # noqa: N818 - never leaves this module
    """What the index names is not in the log."""

    def __init__(self, save: Save) -> None:
        self.save = save


@attrs.frozen
class Loader:
    """Reads snapshots."""

    config: SnapshotStoreConfig
    serializer: Serializer

    async def load(self, topic: SnapshotLog, criteria: SelectionCriteria) -> SelectedSnapshot | None:
        """Return the newest matching snapshot; None if there is certainly none.

        Raises:
            SnapshotUnreadable, ForeignEvent: see `SnapshotStore.load`.
            BrokerError: the broker did not answer.
        """
        vanished: Counter[bytes] = Counter()
        for _ in range(MAX_LOOKS):
            try:
                await topic.look(whole=2 in vanished.values())
                return await self._choose(topic, criteria, vanished)
            except TopicMissing:
                return None
            except _Vanished as gone:
                vanished[gone.save.key.save_id] += 1
            except CorruptRecord as error:
                raise SnapshotUnreadable(f"the snapshots of {printable(topic.persistence_id)}: {error}") from error
        raise SnapshotUnreadable(
            f"{topic.log}: the snapshots of {printable(topic.persistence_id)} were deleted {MAX_LOOKS} times while they "
            "were being read; load again, or keep more of them (keep)"
        )

    async def list_stored(self, topic: SnapshotLog) -> list[StoredSnapshot]:
        """Return which snapshots there are, the newest first.

        Raises:
            SnapshotUnreadable, ForeignEvent: see `KafkaSnapshotStore.stored`.
            BrokerError: the broker did not answer.
        """
        try:
            await topic.look()
            _check_owner(topic)
            if topic.index.unreadable:
                self._judge(topic, CorruptRecord(f"{topic.log}: {topic.index.unreadable}"), None)
        except TopicMissing:
            return []
        except CorruptRecord as error:
            raise SnapshotUnreadable(f"the snapshots of {printable(topic.persistence_id)}: {error}") from error
        saves = topic.index.matching(LATEST)
        return [StoredSnapshot(save.metadata(topic.persistence_id), save.size, save.damage) for save in saves]

    async def _choose(
        self, topic: SnapshotLog, criteria: SelectionCriteria, vanished: Counter[bytes]
    ) -> SelectedSnapshot | None:
        _check_owner(topic)
        problem: SnapshotUnreadable | None = None
        if topic.index.unreadable:
            strange = CorruptRecord(f"{topic.log}: {topic.index.unreadable}")
            problem = self._judge(topic, strange, None)
        for save in topic.index.matching(criteria):
            try:
                return await self._read(topic, save, final=vanished[save.key.save_id] > 2)
            except StoredDataError as error:
                found = self._judge(topic, error, save)
                problem = problem or found
        if problem is not None:
            raise problem
        return None

    def _judge(self, topic: SnapshotLog, error: StoredDataError, save: Save | None) -> SnapshotUnreadable:
        """Fail, or (by policy) warn, to go on with older ones; returns the error for the case that there are none."""
        if self.config.on_unreadable == "fail":
            raise _unreadable(topic, error, save, 'on-unreadable = "older" would take an older one')
        _log.warning(
            "a snapshot of %s cannot be read, trying an older one: %s",
            topic.persistence_id,
            error,
            extra={"event": "snapshot.older-used"},
        )
        return _unreadable(topic, error, save, "and no older one can")

    async def _read(self, topic: SnapshotLog, save: Save, *, final: bool) -> SelectedSnapshot:
        where = f"{topic.log}@{save.offset}: the snapshot at {save.key.sequence_nr}"
        try:
            payload = await self._payload(topic, save, final=final)
            snapshot, opaque, bookmark = decode_payload(self.serializer, payload, self.config.max_snapshot_bytes)
        except StoredDataError as error:
            raise type(error)(f"{where}: {error}") from error
        metadata = save.metadata(topic.persistence_id)
        return SelectedSnapshot(attrs.evolve(metadata, metadata=opaque, bookmark=bookmark), snapshot)

    async def _payload(self, topic: SnapshotLog, save: Save, *, final: bool) -> bytes:
        if save.damage:
            raise CorruptRecord(save.damage)
        if save.size > self.config.max_snapshot_bytes:
            raise CorruptRecord(
                f"it has {save.size} bytes; the limit is {self.config.max_snapshot_bytes} (max-snapshot-bytes)"
            )
        pieces = _Pieces(topic, save)
        await pieces.read()
        if pieces.complete:
            return b"".join(pieces.found.values())
        if final:
            raise CorruptRecord(f"only {len(pieces.found)} of its {max(1, save.pieces)} parts are in the log")
        raise _Vanished(save)


class _Pieces:
    """Collects the parts of one snapshot."""

    def __init__(self, topic: SnapshotLog, save: Save) -> None:
        self.found: dict[int, bytes] = {}
        self._topic = topic
        self._save = save
        self._size = 0

    @property
    def complete(self) -> bool:
        """All parts are there."""
        return len(self.found) == max(1, self._save.pieces) and self._size == self._save.size

    async def read(self) -> None:
        """Read the stretch of the log that holds them."""
        save, topic = self._save, self._topic
        recent = topic.recent.get(save.offset)
        try:
            if save.pieces:
                large = save.size > LARGE_BYTES
                await topic.read(save.first_offset, save.offset, self._take, large=large)
            elif recent is not None:
                self._take([recent])
            else:
                await topic.read(save.offset, save.offset + 1, self._take)
        except OffsetGone:
            return  # whatever is missing now was deleted
        self.found = dict(sorted(self.found.items()))

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            index = self._index_of(record.key or b"")
            if index is not None and record.value is not None and index not in self.found:
                data = self._data(record)
                self._size += len(data)
                if self._size > self._save.size:
                    raise CorruptRecord(f"its parts have more than its {self._save.size} bytes")
                self.found[index] = data

    def _index_of(self, key: bytes) -> int | None:
        """Which part a record is, by its key; the log decides how many there are, not the commit record."""
        save = self._save
        if not save.pieces:
            return 0 if key == save.key.commit() else None
        try:
            parsed = parse_key(key)
        except StoredDataError:
            return None
        return parsed.index if parsed.save == save.key and 0 <= parsed.index < save.pieces else None

    def _data(self, record: Record) -> bytes:
        key, owner = record.key or b"", self._topic.persistence_id
        if self._save.pieces:
            return decode_chunk(key, record.value, owner)
        data = decode_commit(key, record.value, owner).data
        return b"" if data is None else data


def _check_owner(topic: SnapshotLog) -> None:
    if topic.index.foreign:
        raise ForeignEvent(
            f"{topic.log} holds a record of another persistence id ({topic.index.foreign}): two ids share the topic, "
            'which naming = "hashed" excludes, or somebody else writes to it'
        )


def _unreadable(topic: SnapshotLog, error: StoredDataError, save: Save | None, advice: str) -> SnapshotUnreadable:
    found = SnapshotUnreadable(
        f"the newest matching snapshot of {printable(topic.persistence_id)} cannot be read ({advice}): {error}"
    )
    found.metadata = None if save is None else save.metadata(topic.persistence_id)
    found.__cause__ = error
    return found
