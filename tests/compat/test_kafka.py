"""The Kafka stores keep every promise on a real broker: ZooKeeper and (marker `kraft`) KRaft.

Faults and damage are made in front of the broker and behind it. What brokers do that die, hang or lose data is tested in
other places, with the tools to kill them.
"""

import pytest

from compat_suite import Capability, Elsewhere, JournalSpec, SnapshotStoreSpec
from compat_suite.capabilities import JOURNAL, SNAPSHOT_STORE
from compat_suite.kafka_backdoor import KafkaBackdoor
from compat_suite.kafka_faults import open_kafka_faults
from kafka_persist import JournalConfig, SnapshotStoreConfig

from .subjects import open_kafka_journal, open_kafka_snapshot_store

pytestmark = pytest.mark.broker

LIMIT = 256 * 1024


class OnABroker:
    uses_threads = True
    largest_payload = LIMIT - 4_096
    many_ids = 200
    examples = 10
    crash_points = 5
    scale = 3.0

    @pytest.fixture
    def journal_config(self, server, kafka_prefix):
        """A journal of its own for each case: the list of ids has all of a prefix, those that others damaged included."""
        return JournalConfig(bootstrap_servers=server.bootstrap_servers, max_event_bytes=LIMIT, prefix=kafka_prefix)

    @pytest.fixture
    def snapshot_config(self, server):
        return SnapshotStoreConfig(bootstrap_servers=server.bootstrap_servers, keep=100)

    @pytest.fixture
    def faults(self, journal_config, snapshot_config):
        return lambda: open_kafka_faults(journal_config, snapshot_config)

    @pytest.fixture
    def backdoor(self, journal_config, snapshot_config):
        return KafkaBackdoor(journal_config, snapshot_config)


class KafkaJournal(OnABroker, JournalSpec):
    capabilities = JOURNAL
    max_write_bytes = LIMIT

    @pytest.fixture
    def open_journal(self, journal_config):
        return lambda: open_kafka_journal(journal_config)

    @pytest.fixture
    def elsewhere(self, journal_config):
        return Elsewhere("tests.compat.subjects:open_kafka_journal", (journal_config,))


class KafkaSnapshotStore(OnABroker, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}
    largest_payload = 1_000_000

    @pytest.fixture
    def open_snapshot_store(self, snapshot_config):
        return lambda: open_kafka_snapshot_store(snapshot_config)

    @pytest.fixture
    def elsewhere(self, snapshot_config):
        return Elsewhere("tests.compat.subjects:open_kafka_snapshot_store", (snapshot_config,))


class OnZooKeeper:
    @pytest.fixture
    def server(self, kafka_server):
        return kafka_server


class OnKraft:
    @pytest.fixture
    def server(self, kraft_server):
        return kraft_server


class TestKafkaJournal(OnZooKeeper, KafkaJournal):
    pass


class TestKafkaSnapshotStore(OnZooKeeper, KafkaSnapshotStore):
    pass


@pytest.mark.kraft
class TestKafkaJournalOnKraft(OnKraft, KafkaJournal):
    pass


@pytest.mark.kraft
class TestKafkaSnapshotStoreOnKraft(OnKraft, KafkaSnapshotStore):
    pass
