"""The shared layout on a real broker: entities, restarts with an index, and (marker `kraft`) the contract suite."""

from __future__ import annotations

import pytest
import trio

from compat_suite import JournalSpec
from compat_suite.capabilities import JOURNAL
from kafka_persist import Config, JournalConfig, Serializer, open_journal, open_persistence
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.publishing import EmptyEventTopicMapper

pytestmark = pytest.mark.broker

LIMIT = 256 * 1024
NOTHING = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")


def journal_config(server, prefix, directory="", partitions=4):
    shared = SharedConfig(partitions=partitions, directory=str(directory))
    return JournalConfig(
        bootstrap_servers=server.bootstrap_servers,
        layout="shared",
        shared=shared,
        prefix=prefix,
        max_event_bytes=LIMIT,
        event_producer=NOTHING,
    )


def add(total, event):
    return total + event


async def test_a_hundred_new_entities_at_once_and_again_after_a_restart(kafka_server, kafka_prefix, tmp_path):
    """Each is opened, persists one event and is closed; the next process has their states from its index."""
    config = Config(journal=journal_config(kafka_server, kafka_prefix, tmp_path))
    found = {}

    async def deposit(persistence, number):
        async with persistence.entity(f"account-{number}", initial=0, evolve=add) as account:
            await account.persist(number)
            found[number] = account.state

    for rounds in (1, 2):
        async with open_persistence(config) as persistence, trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(deposit, persistence, number)
        assert found == {number: rounds * number for number in range(100)}


async def test_two_processes_on_one_log_take_turns_and_lose_nothing(kafka_server, kafka_prefix):
    config = Config(journal=journal_config(kafka_server, kafka_prefix, partitions=1))
    async with open_persistence(config) as one, open_persistence(config) as other:
        for _ in range(3):
            for persistence in (one, other):
                async with persistence.entity("account", initial=0, evolve=add) as account:
                    await account.persist(1)
        async with one.entity("account", initial=0, evolve=add) as account:
            assert account.state == 6


@pytest.mark.kraft
class TestSharedJournalOnKraft(JournalSpec):
    capabilities = JOURNAL
    uses_threads = True
    max_write_bytes = LIMIT
    largest_payload = LIMIT - 4_096
    many_ids = 200
    examples = 10
    scale = 3.0

    @pytest.fixture
    def open_journal(self, kraft_server, kafka_prefix):
        config = journal_config(kraft_server, kafka_prefix)
        return lambda: open_journal(config, serializer=Serializer(), event_topic_mapper=EmptyEventTopicMapper())


@pytest.fixture(scope="session")
def kraft_server(kafka_server_factory):
    return kafka_server_factory("kraft")
