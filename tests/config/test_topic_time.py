"""Topics that the library creates take the broker's time: on Kafka 4, which refuses a client's clock that is ahead."""

from __future__ import annotations

import time
import uuid

import pytest
import trio
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from kafka_persist import Config, JournalConfig, SnapshotMetadata, SnapshotStoreConfig, TopicsConfig, open_persistence

pytestmark = pytest.mark.broker

HOURS_AHEAD = 2


@pytest.fixture(scope="module")
def kafka_4(kafka_server_factory):
    server = kafka_server_factory("kraft")
    assert server.kafka_version.startswith("4.")
    return server


def produced(server, topic):
    """Append a record as a client does whose clock is ahead; the error's name, or None."""
    reports = []
    ahead = int((time.time() + HOURS_AHEAD * 3600) * 1000)
    with Producer({"bootstrap.servers": server.bootstrap_servers}) as client:
        client.produce(
            topic, b"v", b"k", 0, timestamp=ahead, on_delivery=lambda error, _: reports.append(error and error.name())
        )
        client.flush(30)
    return reports[0]


def time_type(server, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    with AdminClient({"bootstrap.servers": server.bootstrap_servers}) as admin:
        return admin.describe_configs([resource])[resource].result()["message.timestamp.type"].value


async def made_by_the_library(server, prefix, settings):
    """Create an id's journal topic and its snapshot topic; return their names."""
    topics = TopicsConfig(settings=settings)
    journal = JournalConfig(bootstrap_servers=server.bootstrap_servers, prefix=prefix, topics=topics)
    snapshots = SnapshotStoreConfig(prefix=f"snapshot-{prefix}", topics=topics)
    async with open_persistence(Config(journal=journal, snapshot_store=snapshots)) as persistence:
        await persistence.journal.claim("id", uuid.uuid4())
        await persistence.snapshot_store.save(SnapshotMetadata(persistence_id="id", sequence_nr=1), "state")
    return journal.topic_name("id"), snapshots.topic_name("id")


async def test_a_clock_that_is_hours_ahead_writes_to_both_kinds_of_topics(kafka_4, kafka_prefix):
    """The broker would refuse every event and every snapshot of such a client."""
    for topic in await made_by_the_library(kafka_4, kafka_prefix, {}):
        assert await trio.to_thread.run_sync(produced, kafka_4, topic) is None


async def test_what_the_user_set_stays(kafka_4, kafka_prefix):
    for topic in await made_by_the_library(kafka_4, kafka_prefix, {"message.timestamp.type": "CreateTime"}):
        assert await trio.to_thread.run_sync(time_type, kafka_4, topic) == "CreateTime"


async def test_a_topic_with_the_brokers_defaults_refuses_it(kafka_4, kafka_prefix):
    """What the others are compared with: without the setting this broker does refuse such a record."""
    name = f"{kafka_prefix}plain"

    def create():
        with AdminClient({"bootstrap.servers": kafka_4.bootstrap_servers}) as admin:
            admin.create_topics([NewTopic(name, 1, 1)])[name].result()

    await trio.to_thread.run_sync(create)
    assert await trio.to_thread.run_sync(produced, kafka_4, name) == "INVALID_TIMESTAMP"
