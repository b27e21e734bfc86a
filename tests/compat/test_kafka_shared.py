"""The journal of the shared layout keeps every promise on a real broker, with ZooKeeper and with KRaft (`nox -s compat`).

Cases that need ids which two processes can write to independently use ids of different logs.
"""

import pytest

from compat_suite.capabilities import JOURNAL
from kafka_persist import JournalConfig
from kafka_persist._shared.place import partition_of
from kafka_persist.config import EventProducerConfig, SharedConfig

from .test_kafka import LIMIT, KafkaJournal, OnKraft, OnZooKeeper

pytestmark = pytest.mark.broker

PARTITIONS = 4


class SharedJournal(KafkaJournal):
    capabilities = JOURNAL

    @pytest.fixture
    def journal_config(self, server, kafka_prefix):
        return JournalConfig(
            bootstrap_servers=server.bootstrap_servers,
            layout="shared",
            shared=SharedConfig(partitions=PARTITIONS),
            max_event_bytes=LIMIT,
            prefix=kafka_prefix,
            event_producer=EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper"),
        )

    def are_independent(self, one, other):
        return partition_of(one, PARTITIONS) != partition_of(other, PARTITIONS)


@pytest.mark.kraft  # the default session has the suite on simulated brokers, and the session `compat` both of these
class TestSharedJournal(OnZooKeeper, SharedJournal):
    pass


@pytest.mark.kraft
class TestSharedJournalOnKraft(OnKraft, SharedJournal):
    pass
