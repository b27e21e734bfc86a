"""An id whose topic is a user-defined topic is refused when it is claimed, before anything is written there."""

from __future__ import annotations

import uuid

import pytest

from kafka_persist import AtomicWrite, JournalConfig, PersistenceIdCollision, PersistentRepr, TopicsConfig
from kafka_persist._core.cbor import encode
from kafka_persist._core.event_format import event_prefix, event_value
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka

EVENT = event_value(event_prefix("order-1"), encode([1, 5, "", 0, "placed"]))


@pytest.mark.parametrize("partition", [0, 3])
async def test_a_topic_with_published_events_becomes_nobodys_journal(autojump_clock, partition):
    """Whichever partition they are in; the process that claims knows nothing of the mapper."""
    async with open_sim_broker() as broker, open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
        log = broker.create_topic("orders", 4, {"retention.ms": "-1"}).partitions[partition]
        log.append(b"order-1", EVENT)
        for _ in range(2):
            with pytest.raises(PersistenceIdCollision, match="user-defined topic"):
                await journal.claim("orders", uuid.uuid4())
        assert [each.end for each in broker.topics["orders"].partitions].count(0) == 3
        assert log.end == 1


async def test_a_journal_in_a_topic_with_several_partitions_is_one(autojump_clock):
    """A journal may be in any partition; the others are empty."""
    config = JournalConfig(partition=2, topics=TopicsConfig(partitions=4))
    async with open_sim_broker() as broker:
        broker.create_topic("id", 4, {"retention.ms": "-1"})
        for number in (1, 2):
            async with open_sim_kafka(broker, config) as driver, open_journal_on(driver, config) as journal:
                writer = uuid.uuid4()
                assert await journal.claim("id", writer) == number - 1
                event = PersistentRepr(persistence_id="id", sequence_nr=number, payload=number, writer=writer)
                await journal.write([AtomicWrite([event])])
