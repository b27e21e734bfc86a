"""The shared layout on a real broker: entities, restarts with an index, and (marker `kraft`) the contract suite."""

from __future__ import annotations

import pytest
import trio

from compat_suite import JournalSpec
from compat_suite.capabilities import JOURNAL
from kafka_persist import Config, JournalConfig, Serializer, open_journal, open_persistence
from kafka_persist._kafka.driver import open_driver
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.driver import Log
from kafka_persist.publishing import EmptyEventTopicMapper

pytestmark = pytest.mark.broker

LIMIT = 256 * 1024
NOTHING = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")


def journal_config(server, prefix, directory="", partitions=4, **changes):
    shared = SharedConfig(partitions=partitions, directory=str(directory), **changes)
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


async def test_space_comes_back(kafka_server, kafka_prefix):
    """The log is cut while its owner writes; a new process, which begins at the cut, knows every id."""
    config = journal_config(kafka_server, kafka_prefix, partitions=1, cleaning_ratio=1.5, cleaning_least_bytes=20_000)
    log = Log(config.shared_topic, 0)

    async def visit(persistence, number):
        async with persistence.entity(f"cart-{number}", initial=0, evolve=add) as cart:
            await cart.persist(*range(50))
            if number % 5:
                await persistence.journal.delete_to(f"cart-{number}", 50)

    async def cut():
        while (await driver.scan(log, None, 0)).range.start == 0:  # noqa: ASYNC110 - the broker tells nobody that it cut a log
            await trio.sleep(0.1)

    async with open_persistence(Config(journal=config)) as persistence:
        for begin in range(0, 300, 50):
            async with trio.open_nursery() as nursery:
                for number in range(begin, begin + 50):
                    nursery.start_soon(visit, persistence, number)
        with trio.fail_after(60):
            async with open_driver(config) as driver:
                await cut()
    async with open_journal(config, serializer=Serializer(), event_topic_mapper=EmptyEventTopicMapper()) as journal:
        for number in range(0, 300, 7):
            assert await journal.highest_sequence_nr(f"cart-{number}") == 50
            async with journal.replay(f"cart-{number}") as events:
                assert [event.payload async for event in events] == ([] if number % 5 else list(range(50)))


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
