"""Saving one snapshot: chunks first, then the record that makes them count, then tidying up."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

import attrs
import trio

from .._core.snapshot_format import (
    MAX_PIECES,
    OVERHEAD_BYTES,
    Commit,
    SaveKey,
    encode_chunk,
    encode_commit,
)
from ..config import SnapshotStoreConfig
from ..driver import Fate
from ..errors import (
    ConnectError,
    ForeignEvent,
    PersistenceError,
    PersistenceIdCollision,
    SerializationError,
    UsageError,
    WriteOutcomeUnknown,
    printable,
)
from ..model import MAX_SEQUENCE_NR, SnapshotMetadata
from .interface import Sent, SnapshotLog
from .jobs import Job
from .removing import Tidier, refusal

CHUNKS_IN_FLIGHT: Final = 8
"""Chunks of one snapshot that wait for their answers at a time."""

MAX_SAVE_SECONDS: Final = 1800
"""A save that has not come to its last record by then gives up."""

ABANDONED_MS: Final = 2 * 3600 * 1000
"""Chunks without a commit are garbage when they are older than a save may take: `MAX_SAVE_SECONDS`, and the longest
delivery time (an hour) for the last record."""


@attrs.frozen
class Saver:
    """Stores encoded snapshots.

    Attributes:
        config: limits, and how many snapshots are kept.
        room: bytes of the largest record.
        clock: milliseconds since the Unix epoch.
        tidier: what runs after each save.
    """

    config: SnapshotStoreConfig
    room: int
    clock: Callable[[], int]
    tidier: Tidier

    def piece_bytes(self, persistence_id: str, size: int) -> int:
        """How much of a payload of `size` bytes goes into one record.

        Raises:
            UsageError: nothing, with an id as long as this.
            SerializationError: the payload would have too many pieces.
        """
        piece = min(self.config.chunk_bytes, self.room - OVERHEAD_BYTES - len(persistence_id.encode()))
        if piece < 1:
            raise UsageError(
                f"persistence id {printable(persistence_id, 40)} leaves no room in a record: raise max-record-bytes"
            )
        if size > piece * MAX_PIECES:
            raise SerializationError(f"a snapshot of {size} bytes has more than {MAX_PIECES} pieces: raise chunk-bytes")
        return piece

    async def save(
        self, job: Job[SnapshotMetadata], topic: SnapshotLog, metadata: SnapshotMetadata, payload: bytes
    ) -> SnapshotMetadata:
        """Store a payload under the id and number of `metadata`; the topic exists, and was looked at.

        Raises:
            ForeignEvent, PersistenceIdCollision: another id has records in the topic.
            WriteOutcomeUnknown: the last record may or may not be stored.
            BrokerError: certainly not stored.
        """
        began = trio.current_time()
        self._refuse_foreign(topic)
        saved = attrs.evolve(metadata, timestamp=self._timestamp(topic, metadata.sequence_nr))
        key = SaveKey(topic.digest, saved.sequence_nr, saved.timestamp, uuid.uuid4().bytes)
        upload = _Upload(topic, key)
        try:
            data = await self._write_chunks(upload, payload)
            self._check_age(topic, saved.timestamp, began)
            generation = topic.next_generation()
            commit = Commit(generation, len(payload), upload.submitted, upload.first_offset, data)
            value = encode_commit(key.commit(), topic.persistence_id, commit)
            await job.point_of_no_return()
        except BaseException:
            upload.discard()
            raise
        [answer] = await topic.append([(key.commit(), value)])
        if not answer.stored:
            raise self._failure(upload, answer)
        job.succeed(saved)
        await self.tidier.run(topic, [*upload.sent, answer], garbage_before=self.clock() - ABANDONED_MS, retain=True)
        return saved

    async def _write_chunks(self, upload: _Upload, payload: bytes) -> bytes | None:
        """Write the payload in chunks and return None; return it if it fits into the commit record."""
        piece = self.piece_bytes(upload.topic.persistence_id, len(payload))
        if len(payload) <= piece:
            return payload
        pieces = [payload[first : first + piece] for first in range(0, len(payload), piece)]
        for first in range(0, len(pieces), CHUNKS_IN_FLIGHT):
            await upload.write(pieces[first : first + CHUNKS_IN_FLIGHT])
        return None

    def _refuse_foreign(self, topic: SnapshotLog) -> None:
        if not topic.index.foreign:
            return
        where = f"{topic.log} holds a record of another persistence id ({topic.index.foreign})"
        if self.config.naming == "seed":
            raise PersistenceIdCollision(
                f'{where}: with naming = "seed" it has the same topic as {printable(topic.persistence_id)}. Rename one '
                'of the two, or use naming = "hashed"; nothing was stored'
            )
        raise ForeignEvent(f"{where}; find out who writes to it, nothing was stored")

    def _timestamp(self, topic: SnapshotLog, sequence_nr: int) -> int:
        """The clock; but later than the snapshot that is replaced, so that the two can be told apart."""
        replaced = topic.index.visible().get(sequence_nr)
        return min(MAX_SEQUENCE_NR, max(self.clock(), 0 if replaced is None else replaced.key.timestamp + 1))

    def _check_age(self, topic: SnapshotLog, timestamp: int, began: float) -> None:
        """Give up before anybody may take the chunks for garbage; this process may have been suspended."""
        elapsed = max(trio.current_time() - began, (self.clock() - timestamp) / 1000)
        if elapsed > MAX_SAVE_SECONDS:
            raise ConnectError(
                f"{topic.log}: saving took {elapsed:.0f} s so far, more than {MAX_SAVE_SECONDS} s: certainly not stored. "
                "Is the broker reachable?"
            )

    def _failure(self, upload: _Upload, answer: Sent) -> PersistenceError:
        """What it means that the last record was not confirmed."""
        if answer.ack.fate is Fate.UNKNOWN:
            return WriteOutcomeUnknown(
                f"a snapshot of {printable(upload.topic.persistence_id)} may or may not be stored "
                f"({answer.ack.reason}); saving again is safe"
            )
        upload.discard()
        return refusal(upload.topic, answer)


class _Upload:
    """The chunks of one save."""

    def __init__(self, topic: SnapshotLog, key: SaveKey) -> None:
        self.topic = topic
        self.sent: list[Sent] = []
        self.submitted = 0
        self._key = key
        self._looked_at = topic.position

    @property
    def first_offset(self) -> int:
        """No chunk is before it."""
        offsets = [each.ack.offset for each in self.sent if each.ack.offset is not None]
        return min(offsets) if len(offsets) == len(self.sent) and offsets else self._looked_at

    async def write(self, pieces: list[bytes]) -> None:
        """Append some chunks.

        Raises:
            BrokerError: not all of them are stored.
        """
        records: list[tuple[bytes, bytes | None]] = []
        for piece in pieces:
            key = self._key.chunk(self.submitted)
            self.submitted += 1
            records.append((key, encode_chunk(key, self.topic.persistence_id, piece)))
        for each in await self.topic.append(records):
            if each.ack.fate is Fate.UNKNOWN:
                raise ConnectError(
                    f"{self.topic.log}: no answer for a part of a snapshot within the delivery time "
                    f"({each.ack.reason}). It is certainly not stored, as the record that makes it count was not sent"
                )
            if not each.stored:
                raise refusal(self.topic, each)
            self.sent.append(each)

    def discard(self) -> None:
        """Delete what was written, without waiting for it; what remains is garbage that a later save removes."""
        for index in range(self.submitted):
            self.topic.submit(self._key.chunk(index), None, lambda _ack: None)
