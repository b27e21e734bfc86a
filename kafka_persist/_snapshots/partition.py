"""One partition of the shared snapshot topic in this process: its index, which is brought up to date before it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import trio

from .._core.snapshot_format import Kind
from .._core.snapshot_saves import Save
from .._core.snapshot_shared_index import Joint, SharedSnapshotIndex, SnapshotTable
from .._looks import Looks
from ..driver import Driver, Log, OffsetGone, Record
from ..errors import PersistenceError, TopicMissing
from .interface import Sent
from .recent import RecentRecords

_log = logging.getLogger("kafka_persist.snapshots")

SHORT_READS: Final = 4
"""Stretches that are read one after the other before a reader of its own is worth its cost."""

SLICE: Final = 100
"""Records that are folded before other tasks run."""

MAX_OWN: Final = 10_000
"""Records of this process that are remembered while something before them is not read yet."""


class SnapshotPartition:
    """A partition and its index.

    Args:
        driver: the store's.
        log: where it is.
        table: keeps the index.
        recent: small records, of all partitions of the store.
        spawn: starts a task in the store's nursery.
    """

    def __init__(
        self, driver: Driver, log: Log, table: SnapshotTable, recent: RecentRecords, spawn: Callable[..., bool]
    ) -> None:
        self.log = log
        self.index = SharedSnapshotIndex(table)
        self.generation = 0
        """The highest that this process has used."""
        self._driver = driver
        self._recent = recent
        self._whole = self.index.anchor is not None
        self._anew = False
        self._own: dict[int, Record] = {}
        self._looks = Looks(self._look, spawn, "snapshot store")
        self._keyless = 0

    def __repr__(self) -> str:
        return f"<SnapshotPartition {self.log}, {self.index if self._whole else 'nothing known'}>"

    async def know(self, *, anew: bool = False) -> None:
        """Have everything in the index that was in the log when this was called, until the caller's next await.

        Args:
            anew: read the whole partition, whatever the index says.

        Raises:
            TopicMissing: there is no such partition.
            IndexUnusable: the index cannot be read or written.
            BrokerError, CorruptRecord: see `Driver.scan`.
        """
        self._anew = self._anew or anew
        await self._looks.shared()
        while not self._whole:  # another look has begun to build it anew before this task could go on
            await self._looks.shared()

    # --- looking -------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        anew, self._anew = self._anew, False
        try:
            if anew or not self._whole or not await self._extend():
                await self._build()
        except TopicMissing:
            self._whole = False
            self.index.partitions = 0  # one that is created in its place has to say it again
            raise
        self._own = {offset: record for offset, record in self._own.items() if offset >= self.index.position}
        self.index.save()

    async def _extend(self) -> bool:
        """Read what came since; False if that does not join on to the index."""
        before = self.index.position
        joint = Joint(self.index)

        def take(records: Sequence[Record]) -> bool:
            if not joint.holds(records):
                return False
            self._fold(records)
            return True

        try:
            end = await self._read(joint.start, take)
        except OffsetGone:
            end = None
        if end is not None and joint.ends(end):
            return True
        _log.info(
            "%s: the index ends at offset %d, where the log is another one or was compacted",
            self.log,
            before,
            extra={"event": "snapshot-index.rebuilt"},
        )
        return False

    async def _build(self) -> None:
        """Read the whole partition."""
        self._whole = False
        self.index.clear()
        self._recent.forget(self.log)

        def take(records: Sequence[Record]) -> bool:
            self._fold(records)
            return True

        end = await self._read(None, take)
        self.index.finish(end or 0)
        self._whole = True
        if self.index.keyless > self._keyless:
            self._keyless = self.index.keyless
            _log.warning(
                "%s: %d records that no snapshot store wrote are left aside",
                self.log,
                self._keyless,
                extra={"event": "snapshot.foreign-records"},
            )

    def _fold(self, records: Sequence[Record]) -> None:
        self.index.fold(records)
        self._recent.put(self.log, records)

    async def _read(self, start: int | None, take: Callable[[Sequence[Record]], bool]) -> int | None:
        """Give the records from `start` on to `take`; return the log's end, None if `take` wants no more."""
        scan = await self._driver.scan(self.log, start, None)
        end, reads = scan.range.end, 1
        while await self._give(scan.records, take):
            if scan.next_offset >= end:
                return end
            if reads == SHORT_READS:
                return await self._read_long(scan.next_offset, end, take)
            reads += 1
            scan = await self._driver.scan(self.log, scan.next_offset, end)
        return None

    async def _read_long(self, start: int, end: int, take: Callable[[Sequence[Record]], bool]) -> int | None:
        async with self._driver.open_reader(self.log, start) as reader:
            while records := await reader.read(end):
                if not await self._give(records, take):
                    return None
        return end

    async def _give(self, records: Sequence[Record], take: Callable[[Sequence[Record]], bool]) -> bool:
        for first in range(0, len(records), SLICE):
            if not take(records[first : first + SLICE]):
                return False
            await trio.lowlevel.checkpoint()
        return True

    def recent(self, saves: Iterable[Save]) -> dict[int, Record]:
        """Those of the saves' commit records that need not be read, by offset."""
        found = ((save.offset, self._recent.get(self.log, save.offset)) for save in saves)
        return {offset: record for offset, record in found if record is not None}

    # --- what this process writes --------------------------------------------------------------------------------

    def note(self, sent: Iterable[Sent]) -> None:
        """Take in what this process has appended, as soon as everything before it is known: it need not be read then.

        What happens to the index here is no affair of the call that has written; the next look finds it out.
        """
        if not self._whole or len(self._own) > MAX_OWN:
            return
        for each in sent:
            offset, value = each.ack.offset, each.value
            if each.stored and offset is not None and offset >= self.index.position:
                if value is not None and each.key[1] == Kind.CHUNK:
                    value = b""  # that there is one is all that the index wants to know
                self._own[offset] = Record(offset, each.key, value)
        try:
            known = self.index.position
            while (record := self._own.pop(self.index.position, None)) is not None:
                self._fold([record])
            if self.index.position > known:
                self.index.save()
        except PersistenceError as error:
            self._whole = False
            _log.warning(
                "%s: the index is not up to date: %s", self.log, error, extra={"event": "snapshot-index.behind"}
            )

    def has(self, offsets: Iterable[int | None]) -> bool:
        """Whether the records at these offsets are in the index; None is an offset that nobody knows."""
        return self._whole and all(offset is not None and offset < self.index.position for offset in offsets)

    def release(self) -> None:
        """Let go of the index; what it knows is kept if it is whole."""
        try:
            if self._whole:
                self.index.save()
            self.index.table.close(keep=self._whole)
        except PersistenceError as error:
            _log.warning("%s: the index is not kept: %s", self.log, error, extra={"event": "snapshot-index.not-kept"})
