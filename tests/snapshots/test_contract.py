"""The contract's cases about unreadable snapshots, with both policies; the other cases run in tests/compat."""

from __future__ import annotations

import pytest

from compat_suite import Backdoor, Capability, SnapshotStoreSpec
from compat_suite.capabilities import SNAPSHOT_STORE
from kafka_persist._core.snapshot_format import Kind, parse_key
from kafka_persist.config import SnapshotStoreConfig
from kafka_persist.snapshots import open_snapshot_store


class RawRecords(Backdoor):
    """Spoils snapshots as a program without the library would: by appending."""

    def __init__(self, kafka, config):
        self.kafka, self.config = kafka, config

    async def corrupt_event(self, persistence_id, sequence_nr):
        raise NotImplementedError

    async def corrupt_snapshot(self, persistence_id, sequence_nr):
        topic = self.config.topic_name(persistence_id)
        keys = [(record.key, parse_key(record.key)) for record in self.kafka.records(topic) if record.value]
        [key] = [key for key, parsed in keys if parsed.kind is Kind.COMMIT and parsed.save.sequence_nr == sequence_nr]
        self.kafka.produce(topic, key, b"spoilt")


class OnABroker(SnapshotStoreSpec):
    uses_threads = True
    many_ids = 20
    examples = 5
    scale = 3.0
    policy = "fail"

    @pytest.fixture
    def config(self, kafka, kafka_prefix):
        return SnapshotStoreConfig(
            bootstrap_servers=kafka.servers, prefix=f"s-{kafka_prefix}", keep=1000, on_unreadable=self.policy
        )

    @pytest.fixture
    def open_snapshot_store(self, config):
        return lambda: open_snapshot_store(config)

    @pytest.fixture
    def backdoor(self, kafka, config):
        return RawRecords(kafka, config)


class TestFailing(OnABroker):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}


class TestFallingBack(OnABroker):
    capabilities = SNAPSHOT_STORE
    policy = "older"
