"""The faults adapter of the Kafka stores: a real broker, and a driver in front of it that fails on command.

A fault is made in front of the broker, where only the store's own handling is tested. Whoever wraps these stores can
use it as it is; a journal of one's own on Kafka takes it as an example.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import attrs

from kafka_persist._kafka.driver import open_driver
from kafka_persist.abc import Journal, SnapshotStore
from kafka_persist.config import JournalConfig, SnapshotStoreConfig
from kafka_persist.journal import open_journal_on
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import FaultyDriver, open_faulty_driver

from .adapters import Faults
from .kafka_backdoor import log_of

PATIENCE: Final = 0.5
"""Seconds after which a record without an answer counts as unknown."""


class KafkaFaults(Faults):
    """Opens Kafka stores on one connection that fails on command; each store stands for a process."""

    delivery_time: float = PATIENCE

    def __init__(self, driver: FaultyDriver, journal: JournalConfig, snapshots: SnapshotStoreConfig) -> None:
        if journal.layout == "shared":  # what became of a record is looked into until the call's time is up
            self.delivery_time = journal.delivery_timeout
        self.driver = driver
        self._journal = journal
        self._snapshots = snapshots

    def open_journal(self) -> AbstractAsyncContextManager[Journal]:
        """Open a journal."""
        return self._open(open_journal_on, self._journal)

    def open_snapshot_store(self) -> AbstractAsyncContextManager[SnapshotStore]:
        """Open a snapshot store."""
        return self._open(open_snapshot_store_on, self._snapshots)

    @asynccontextmanager
    async def _open(
        self, open_on: Callable[..., AbstractAsyncContextManager[Any]], config: object
    ) -> AsyncGenerator[Any]:
        await self.driver.topic_names()  # as a real driver asks for metadata, and fails if none comes
        async with open_on(self.driver, config) as store:
            yield store

    async def lose_acknowledgement(self) -> None:
        """Store the next record, and lose its delivery report."""
        self.driver.lose_acknowledgement()

    async def delay_write(self) -> None:
        """Keep the next record back."""
        self.driver.delay_record()

    async def land(self) -> None:
        """Append the record that was kept back."""
        await self.driver.land()

    async def stop(self) -> None:
        """Answer nothing any more."""
        self.driver.stop()

    async def start(self) -> None:
        """Answer again."""
        self.driver.start()

    async def hold(self, persistence_id: str | None = None) -> None:
        """Keep the requests for an id's topics, or all, waiting."""
        if persistence_id is None:
            self.driver.hold()
        else:
            self.driver.hold(*[str(log_of(config, persistence_id)) for config in (self._journal, self._snapshots)])

    async def release(self) -> None:
        """Answer what waits."""
        await self.driver.release()


@asynccontextmanager
async def open_kafka_faults(journal: JournalConfig, snapshots: SnapshotStoreConfig) -> AsyncGenerator[KafkaFaults]:
    """Connect once; the stores that are opened share the connection, as processes share a cluster.

    Raises:
        ConnectError: no broker answered.
    """
    journal = attrs.evolve(journal, delivery_timeout=4.0 if journal.layout == "shared" else 10.0)
    snapshots = attrs.evolve(snapshots, delivery_timeout=10.0)
    async with open_driver(journal) as real, open_faulty_driver(real, patience=PATIENCE) as driver:
        yield KafkaFaults(driver, journal, snapshots)
