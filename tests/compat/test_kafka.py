"""The Kafka stores keep every promise on a real broker: ZooKeeper and KRaft.

The faults of a broker are injected elsewhere, with tools that a store under test does not have.
"""

import pytest

from compat_suite import Capability, JournalSpec, SnapshotStoreSpec
from compat_suite.capabilities import JOURNAL, SNAPSHOT_STORE
from kafka_persist import JournalConfig, SnapshotStoreConfig, open_journal, open_snapshot_store

pytestmark = pytest.mark.broker

LIMIT = 256 * 1024


class OnABroker:
    uses_threads = True
    largest_payload = LIMIT - 4_096
    many_ids = 200
    examples = 10
    scale = 3.0


class KafkaJournal(OnABroker, JournalSpec):
    capabilities = JOURNAL - {Capability.PERSISTENCE_IDS}
    max_write_bytes = LIMIT

    @pytest.fixture
    def open_journal(self, server):
        config = JournalConfig(bootstrap_servers=server.bootstrap_servers, max_event_bytes=LIMIT)
        return lambda: open_journal(config)


class KafkaSnapshotStore(OnABroker, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}
    largest_payload = 1_000_000

    @pytest.fixture
    def open_snapshot_store(self, server):
        config = SnapshotStoreConfig(bootstrap_servers=server.bootstrap_servers, keep=100)
        return lambda: open_snapshot_store(config)


class OnZooKeeper:
    @pytest.fixture
    def server(self, kafka_server):
        return kafka_server


@pytest.fixture(scope="session")
def kraft_server(kafka_server_factory):
    return kafka_server_factory("kraft")


class OnKraft:
    @pytest.fixture
    def server(self, kraft_server):
        return kraft_server


class TestKafkaJournal(OnZooKeeper, KafkaJournal):
    pass


class TestKafkaSnapshotStore(OnZooKeeper, KafkaSnapshotStore):
    pass


class TestKafkaJournalOnKraft(OnKraft, KafkaJournal):
    pass


class TestKafkaSnapshotStoreOnKraft(OnKraft, KafkaSnapshotStore):
    pass
