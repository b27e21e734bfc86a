"""A topic for each id: its last index record tells a call which snapshots there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from .._core.snapshot_format import index_key
from .._core.snapshot_index import SnapshotIndex
from .._core.snapshot_index_record import decode_index, encode_index
from ..config import SnapshotStoreConfig
from ..driver import Driver, Log, LogRange, Record
from .interface import Sent, SnapshotLayout, SnapshotLog, spec_of

TAIL_RECORDS: Final = 4
"""A save of a small snapshot leaves its commit, a tombstone and the index behind: one look finds all of it."""


@attrs.frozen
class TopicPerId(SnapshotLayout):
    """One topic per id, one partition of it used: the original's layout."""

    driver: Driver
    config: SnapshotStoreConfig

    def of(self, persistence_id: str) -> SnapshotLog:
        """See `SnapshotLayout.of`."""
        return SnapshotTopic(self.driver, self.config, persistence_id)

    def release(self) -> None:
        """See `SnapshotLayout.release`: there is nothing to let go of."""


class SnapshotTopic(SnapshotLog):
    """One id's topic."""

    def __init__(self, driver: Driver, config: SnapshotStoreConfig, persistence_id: str) -> None:
        super().__init__(driver, Log(config.topic_name(persistence_id), config.partition), persistence_id)
        self._index = SnapshotIndex(persistence_id)
        self._config = config

    @property
    def index(self) -> SnapshotIndex:
        """See `SnapshotLog.index`."""
        return self._index

    @property
    def position(self) -> int:
        """See `SnapshotLog.position`."""
        return self.index.position

    async def ensure(self) -> None:
        """See `SnapshotLog.ensure`."""
        await self._driver.ensure_topics([spec_of(self._config, self.log.topic, self._config.topics.partitions)])

    # --- looking -------------------------------------------------------------------------------------------------

    async def look(self, *, whole: bool = False) -> None:
        """See `SnapshotLog.look`."""
        scan = await self._driver.scan(self.log, -TAIL_RECORDS, None)
        tail = [*scan.records, *await self._read_rest(scan.next_offset, scan.range.end)]
        self.recent = {record.offset: record for record in tail}
        short_cut = None if whole else self._last_index(tail)
        if short_cut is not None:
            self._index = await self._fold(short_cut, tail, scan.range)
        if short_cut is None or short_cut.holes:
            self._index = await self._fold(SnapshotIndex(self.persistence_id, scan.range.start), tail, scan.range)

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

    async def learn(self, sent: Iterable[Sent]) -> None:
        """See `SnapshotLog.learn`."""
        own = sorted((each.ack.offset, each) for each in sent if each.stored and each.ack.offset is not None)
        if [offset for offset, _ in own] == list(range(self.index.position, self.index.position + len(own))):
            self.index.fold(Record(offset, each.key, each.value) for offset, each in own)
        else:
            await self.look()

    def closing_records(self, room: int) -> Sequence[tuple[bytes, bytes | None]]:
        """See `SnapshotLog.closing_records`: the index record, if it tells everything and is not too large."""
        key, value = index_key(self.digest), encode_index(self.index)
        return [(key, value)] if value is not None and len(key) + len(value) <= room else []
