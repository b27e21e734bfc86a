"""One topic for all ids: an id's snapshots are in the partition that its name gives, and an index says where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import trio

from .._core.snapshot_format import MAX_GENERATION, encode_partitions, partitions_key
from .._core.snapshot_saves import Saves
from .._core.snapshot_shared_index import FORMAT, MemorySnapshotTable, SnapshotTable
from .._index.lmdb_rows import open_rows
from .._shared.place import partition_of
from ..config import SnapshotStoreConfig
from ..driver import Driver, Fate, Log
from ..errors import BrokerError, ConnectError, TopicMissing, TopicSettingsRefused
from ..model import check_persistence_id
from .interface import Sent, SnapshotLayout, SnapshotLog, append, spec_of
from .partition import SnapshotPartition
from .recent import RecentRecords

KEY: Final = "kafka-snapshot-store.shared.partitions"


class SharedTopic(SnapshotLayout):
    """One topic with a fixed number of partitions.

    The number is part of where an id is, so the topic says it: in a record of the first partition before anything else is
    saved, and of each other one before something is saved there. A reader with another number does not take what it does
    not find for absent.

    Args:
        driver: the store's.
        config: the store's.
        spawn: starts a task in the store's nursery.

    Raises:
        IndexUnusable: the index directory is in use, or cannot be written.
        UsageError: an index directory needs the extra ``shared``.
    """

    def __init__(self, driver: Driver, config: SnapshotStoreConfig, spawn: Callable[..., bool]) -> None:
        self._driver = driver
        self._config = config
        self._topic = config.shared_topic
        self._count = config.shared.partitions
        self._declaring = trio.Lock()
        self._counted = False
        self._partitions: list[SnapshotPartition] = []
        recent = RecentRecords()
        try:
            for number in range(self._count):
                log, table = Log(self._topic, number), self._table(number)
                self._partitions.append(SnapshotPartition(driver, log, table, recent, spawn))
        except BaseException:
            self.release()
            raise

    def __repr__(self) -> str:
        return f"<SharedTopic {self._topic}, {self._count} partitions>"

    def _table(self, number: int) -> SnapshotTable:
        directory = self._config.shared.directory
        if not directory:
            return MemorySnapshotTable()
        about = f"{self._topic}: snapshots {number} of {self._count}, format {FORMAT}"
        return open_rows(directory, f"snapshots-{number}", about)

    def of(self, persistence_id: str) -> SnapshotLog:
        """See `SnapshotLayout.of`."""
        number = partition_of(check_persistence_id(persistence_id), self._count)
        return SharedSnapshots(self._driver, self, self._partitions[number], persistence_id)

    def release(self) -> None:
        """See `SnapshotLayout.release`."""
        for partition in self._partitions:
            partition.release()

    # --- the number of partitions --------------------------------------------------------------------------------

    async def ensure(self, partition: SnapshotPartition) -> None:
        """See that the topic is there, has as many partitions as it should, and says so."""
        await self._driver.ensure_topics([spec_of(self._config, self._topic, self._count)])
        if not self._counted:
            self._check(await self._driver.partition_count(self._topic), "has")
            self._counted = True
        if not self.is_settled(partition):
            async with self._declaring:
                for each in dict.fromkeys((self._partitions[0], partition)):
                    await self._declare(each)

    async def _declare(self, partition: SnapshotPartition) -> None:
        await partition.know()
        if partition.index.partitions:
            self._check(partition.index.partitions, "was first used with")
            return
        sent = await append(self._driver, partition.log, [(partitions_key(), encode_partitions(self._count))])
        partition.note(sent)
        ack = sent[0].ack
        if ack.fate is not Fate.STORED:
            kind = ConnectError if ack.fate is Fate.UNKNOWN else BrokerError
            raise ack.error or kind(f"{partition.log}: its first record: {ack.reason}. No snapshot was stored")

    def is_settled(self, partition: SnapshotPartition) -> bool:
        """Whether the partition itself says that the topic has as many partitions as is thought here."""
        return partition.index.partitions == self._count

    async def check(self, partition: SnapshotPartition) -> None:
        """Refuse to say what a partition holds of an id if the topic was written with another number of partitions.

        Raises:
            TopicSettingsRefused: it was.
        """
        declared = partition.index.partitions
        if not declared:
            await self._partitions[0].know()
            declared = self._partitions[0].index.partitions
        if declared:
            self._check(declared, "was first used with")

    async def check_missing(self, missing: TopicMissing) -> None:
        """The same where there is no such partition.

        Raises:
            TopicSettingsRefused: but there are others, with snapshots.
            TopicMissing: nothing was ever saved.
        """
        await self._partitions[0].know()
        if self._partitions[0].index.partitions:
            self._check(await self._driver.partition_count(self._topic), "has")
        raise missing

    def _check(self, found: int, verb: str) -> None:
        if found != self._count:
            raise TopicSettingsRefused(
                f"topic {self._topic} {verb} {found} partitions, but {KEY} is {self._count}: snapshots would be looked for in "
                "the wrong one. Set it to the number that the topic was first used with; a topic that was given more "
                "partitions since then has to be copied into a new one"
            ).about(topic=self._topic)


class SharedSnapshots(SnapshotLog):
    """The snapshots of one id in the shared topic."""

    def __init__(self, driver: Driver, layout: SharedTopic, partition: SnapshotPartition, persistence_id: str) -> None:
        super().__init__(driver, partition.log, persistence_id)
        self._index = Saves(persistence_id, self.digest)
        self._layout = layout
        self._partition = partition
        self._position = 0

    @property
    def index(self) -> Saves:
        """See `SnapshotLog.index`."""
        return self._index

    @property
    def position(self) -> int:
        """See `SnapshotLog.position`."""
        return self._position

    async def ensure(self) -> None:
        """See `SnapshotLog.ensure`; the topic also says how many partitions it has."""
        await self._layout.ensure(self._partition)

    async def look(self, *, whole: bool = False) -> None:
        """See `SnapshotLog.look`; calls that look at the same time share the reading."""
        try:
            await self._partition.know(anew=whole)
        except TopicMissing as missing:
            await self._layout.check_missing(missing)
        if not self._layout.is_settled(self._partition):
            await self._layout.check(self._partition)
            await self._partition.know()
        self._refresh()

    def _refresh(self) -> None:
        self._position = self._partition.index.position
        self._index = self._partition.index.saves_of(self.persistence_id)
        self.recent = self._partition.recent(self._index.saves.values())

    async def learn(self, sent: Iterable[Sent]) -> None:
        """See `SnapshotLog.learn`; what this process has written need not be read."""
        stored = [each.ack.offset for each in sent if each.stored]
        if not self._partition.has(stored):
            await self._partition.know()
        self._refresh()

    async def append(self, records: Iterable[tuple[bytes, bytes | None]]) -> list[Sent]:
        """See `SnapshotLog.append`."""
        sent = await super().append(records)
        self._partition.note(sent)
        return sent

    def next_generation(self) -> int:
        """See `SnapshotLog.next_generation`: also above every other one that this process has used here."""
        partition = self._partition
        partition.generation = max(partition.generation, self._position) + 1
        return min(max(partition.generation, self.index.generation + 1), MAX_GENERATION)
