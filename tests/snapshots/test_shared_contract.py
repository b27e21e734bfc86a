"""The contract's cases for snapshot stores, on a shared topic of a simulated broker, with an index on disk."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from compat_suite import Capability, SnapshotStoreSpec
from compat_suite.capabilities import SNAPSHOT_STORE
from kafka_persist._lifecycle import background
from kafka_persist.config import SharedSnapshotsConfig, SnapshotStoreConfig
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import SimBroker, open_sim_kafka


def opener(directory_of):
    """Opens stores: each that is open at the same time is a process with a directory of its own, which the next one inherits."""
    broker = SimBroker()
    processes = set()

    def config_of(process):
        shared = SharedSnapshotsConfig(partitions=4, directory=directory_of(process))
        return SnapshotStoreConfig(layout="shared", shared=shared, keep=1000)

    async def run():
        while True:  # several stores may be open, and the first one may be closed first: each drives the broker
            with trio.move_on_after(0.01):
                await broker.clockwork.run()

    @asynccontextmanager
    async def opened():
        process = next(number for number in range(100) if number not in processes)
        processes.add(process)
        config = config_of(process)
        try:
            async with background("the broker") as tasks:
                tasks.spawn(run)
                async with open_sim_kafka(broker, config) as driver, open_snapshot_store_on(driver, config) as store:
                    yield store
        finally:
            processes.discard(process)

    return opened


class TestSharedTopic(SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}
    examples = 10

    @pytest.fixture
    def open_snapshot_store(self, tmp_path):
        return opener(lambda process: str(tmp_path / str(process)))
