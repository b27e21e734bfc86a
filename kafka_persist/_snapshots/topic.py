"""One id's snapshot topic, during one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from .._core.snapshot_format import digest_of
from .._core.snapshot_index import SnapshotIndex
from .._core.snapshot_index_record import decode_index
from ..config import SnapshotStoreConfig
from ..driver import Ack, Driver, Fate, Log, LogRange, Record, TopicSpec

TAIL_RECORDS: Final = 4
"""A save of a small snapshot leaves its commit, a tombstone and the index behind: one look finds all of it."""

SEGMENT_BYTES: Final = 32 * 1024 * 1024
DELETE_RETENTION_MS: Final = 24 * 3600 * 1000

_NONE: Final = Ack(Fate.UNKNOWN)


def spec_of(config: SnapshotStoreConfig, log: Log) -> TopicSpec:
    """Return the topic that has to exist for `log`.

    Beside what the configuration says: segments are small, because what was deleted or replaced stays on disk until the
    segment is full and compacted; and tombstones outlive every reader that began before them.
    """
    tuning = {
        "segment.bytes": str(max(SEGMENT_BYTES, 4 * config.max_record_bytes)),
        "delete.retention.ms": str(DELETE_RETENTION_MS),
    }
    return TopicSpec(log.topic, config.topics.partitions, tuning | config.topic_settings(), role="snapshot")


@attrs.frozen
class Sent:
    """A record that was appended, and the log's answer."""

    key: bytes
    value: bytes | None = attrs.field(repr=False)
    ack: Ack

    @property
    def stored(self) -> bool:
        """Certainly in the log."""
        return self.ack.fate is Fate.STORED


class SnapshotTopic:
    """Access to the topic, and what is known of it."""

    def __init__(self, driver: Driver, log: Log, persistence_id: str) -> None:
        self.log = log
        self.persistence_id = persistence_id
        self.digest = digest_of(persistence_id)
        self.index = SnapshotIndex(persistence_id)
        self.recent: dict[int, Record] = {}
        """The end of the log, already read."""
        self._driver = driver

    # --- reading -------------------------------------------------------------------------------------------------

    async def look(self, *, whole: bool = False) -> SnapshotIndex:
        """Find out which snapshots exist, as of now.

        Args:
            whole: read the whole log, whatever its index record says.

        Raises:
            TopicMissing: there is no topic.
            BrokerError, CorruptRecord: see `Driver.scan`.
        """
        scan = await self._driver.scan(self.log, -TAIL_RECORDS, None)
        tail = [*scan.records, *await self._read_rest(scan.next_offset, scan.range.end)]
        self.recent = {record.offset: record for record in tail}
        short_cut = None if whole else self._last_index(tail)
        if short_cut is not None:
            self.index = await self._fold(short_cut, tail, scan.range)
        if short_cut is None or short_cut.holes:
            self.index = await self._fold(SnapshotIndex(self.persistence_id, scan.range.start), tail, scan.range)
        return self.index

    async def _fold(self, index: SnapshotIndex, tail: Sequence[Record], bounds: LogRange) -> SnapshotIndex:
        await self.read(index.position, max(bounds.start, bounds.end - TAIL_RECORDS), index.fold)
        index.fold(tail)
        index.advance(bounds.end)
        return index

    async def _read_rest(self, start: int, end: int) -> Sequence[Record]:
        """Read on where large records did not fit into the first look."""
        records: list[Record] = []
        while start < end:
            scan = await self._driver.scan(self.log, start, end)
            records += scan.records
            start = scan.next_offset
        return records

    def _last_index(self, tail: Sequence[Record]) -> SnapshotIndex | None:
        found = (decode_index(self.persistence_id, record) for record in reversed(tail))
        return next((index for index in found if index is not None), None)

    async def read(
        self, start: int, stop: int, take: Callable[[Sequence[Record]], None], *, large: bool = False
    ) -> None:
        """Give the records from `start` up to `stop` to `take`, in batches.

        Args:
            start: the first offset.
            stop: the offset to stop before.
            take: called with each batch.
            large: whether the stretch is known to be longer than a batch.
        """
        if start < stop and not large:
            scan = await self._driver.scan(self.log, start, stop)
            take(scan.records)
            start = scan.next_offset
        if start < stop:
            async with self._driver.open_reader(self.log, start) as reader:
                while records := await reader.read(stop):
                    take(records)

    # --- writing -------------------------------------------------------------------------------------------------

    def submit(self, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """Hand one record over; a tombstone if `value` is None."""
        self._driver.submit(self.log, key, value, on_ack)

    async def append(self, records: Iterable[tuple[bytes, bytes | None]]) -> list[Sent]:
        """Hand records over, in order, and wait for all answers."""
        sent = [_InFlight(key, value) for key, value in records]
        done = trio.Event()
        left = len(sent)

        def answered() -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        for each in sent:
            each.answered = answered
            self._driver.submit(self.log, each.key, each.value, each.on_ack)
        if sent:
            await done.wait()
        return [Sent(each.key, each.value, each.ack) for each in sent]

    async def learn(self, sent: Iterable[Sent]) -> None:
        """Bring the index up to date with what this call appended, and with what came between."""
        own = sorted((each.ack.offset, each) for each in sent if each.stored and each.ack.offset is not None)
        if [offset for offset, _ in own] == list(range(self.index.position, self.index.position + len(own))):
            self.index.fold(Record(offset, each.key, each.value) for offset, each in own)
        else:
            await self.look()


@attrs.define(eq=False)
class _InFlight:
    key: bytes
    value: bytes | None
    ack: Ack = _NONE
    answered: Callable[[], None] = lambda: None

    def on_ack(self, ack: Ack) -> None:
        self.ack = ack
        self.answered()
