"""The faults adapter of the Kafka stores: real brokers, and a driver in front of them that fails on command."""

from contextlib import asynccontextmanager

import attrs

from compat_suite import Faults
from kafka_persist._kafka.driver import open_driver
from kafka_persist.journal import open_journal_on
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import open_faulty_driver

PATIENCE = 0.5


class KafkaFaults(Faults):
    delivery_time = PATIENCE

    def __init__(self, driver, journal, snapshots):
        self.driver = driver
        self._journal = journal
        self._snapshots = snapshots

    def open_journal(self):
        return self._open(open_journal_on, self._journal)

    def open_snapshot_store(self):
        return self._open(open_snapshot_store_on, self._snapshots)

    @asynccontextmanager
    async def _open(self, open_on, config):
        await self.driver.topic_names()  # as a real driver asks for metadata, and fails if none comes
        async with open_on(self.driver, config) as store:
            yield store

    async def lose_acknowledgement(self):
        self.driver.lose_acknowledgement()

    async def delay_write(self):
        self.driver.delay_record()

    async def land(self):
        await self.driver.land()

    async def stop(self):
        self.driver.stop()

    async def start(self):
        self.driver.start()

    async def hold(self, persistence_id=None):
        configs = () if persistence_id is None else (self._journal, self._snapshots)
        self.driver.hold(*(config.topic_name(persistence_id) for config in configs))

    async def release(self):
        await self.driver.release()


@asynccontextmanager
async def open_kafka_faults(journal, snapshots):
    """Connect once; the stores that are opened share the connection, as processes share a cluster."""
    journal, snapshots = (attrs.evolve(config, delivery_timeout=10.0) for config in (journal, snapshots))
    async with open_driver(journal) as real, open_faulty_driver(real, patience=PATIENCE) as driver:
        yield KafkaFaults(driver, journal, snapshots)
