"""Snapshot stores on the session's real Kafka and on a log in memory, and the topics as others see them."""

from __future__ import annotations

import importlib.util
import logging
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from kafka_persist.config import SharedSnapshotsConfig, SnapshotStoreConfig
from kafka_persist.driver import Record
from kafka_persist.model import SelectionCriteria, SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store, open_snapshot_store_on

_spec = importlib.util.spec_from_file_location("snapshot_log", Path(__file__).with_name("log.py"))
_log = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_log)

RAW = logging.getLogger("tests.raw")


class Kafka:
    """The broker, and what stands in topics as a program without the library sees it."""

    def __init__(self, servers):
        self.servers = servers

    def config(self, **changes):
        return SnapshotStoreConfig(**{"bootstrap_servers": self.servers, **changes})

    def open(self, *, serializer=None, **changes):
        return open_snapshot_store(self.config(**changes), serializer=serializer)

    def produce(self, topic, key, value):
        """Append one record; return its offset."""
        return self.produce_many(topic, [(key, value)])[0]

    def produce_many(self, topic, records):
        """Append records, keys and values; return their offsets."""
        offsets = []
        with Producer({"bootstrap.servers": self.servers, "logger": RAW}) as client:
            for key, value in records:
                client.produce(topic, value, key, 0, on_delivery=lambda _error, done: offsets.append(done.offset()))
            client.flush(30)
        return offsets

    def records(self, topic):
        """Everything that a topic holds."""
        with Consumer({"bootstrap.servers": self.servers, "group.id": "raw", "logger": RAW}) as client:
            place = TopicPartition(topic, 0, 0)
            low, high = client.get_watermark_offsets(place, timeout=30)
            place.offset = low
            client.assign([place])
            found, deadline = [], time.monotonic() + 30
            while client.position([place])[0].offset < high and low < high:
                assert time.monotonic() < deadline, f"{topic}: at {client.position([place])} of {high}"
                message = client.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(Record(message.offset(), message.key(), message.value()))
            return found

    def settings(self, topic):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        with AdminClient({"bootstrap.servers": self.servers, "logger": RAW}) as admin:
            return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}

    def alter(self, topic, setting, value):
        change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        with AdminClient({"bootstrap.servers": self.servers, "logger": RAW}) as admin:
            admin.incremental_alter_configs([resource])[resource].result()

    def exists(self, topic):
        with AdminClient({"bootstrap.servers": self.servers, "logger": RAW}) as admin:
            try:
                return admin.list_topics(topic, timeout=10).topics[topic].error is None
            except KafkaException:
                return False


@pytest.fixture(scope="session")
def kafka(kafka_server):
    return Kafka(kafka_server.bootstrap_servers)


@pytest.fixture(scope="session")
def kafka_at():
    """The same view of a server of the test's own."""
    return lambda server: Kafka(server.bootstrap_servers)


@pytest.fixture
def name(kafka_prefix):
    """A persistence id of the test's own."""
    return f"{kafka_prefix}id"


class Shelf:
    """The snapshots of one id in one store, said shortly."""

    def __init__(self, store, persistence_id):
        self.store = store
        self.persistence_id = persistence_id

    def metadata(self, number, timestamp=0, **more):
        return SnapshotMetadata(persistence_id=self.persistence_id, sequence_nr=number, timestamp=timestamp, **more)

    async def save(self, *numbers, value=None):
        """Save; return the metadata of the last one."""
        for number in numbers:
            saved = await self.store.save(self.metadata(number), f"s-{number}" if value is None else value)
        return saved

    async def load(self, **bounds):
        """Load; return number and value, or None."""
        found = await self.store.load(self.persistence_id, SelectionCriteria(**bounds))
        return None if found is None else (found.metadata.sequence_nr, found.snapshot)

    async def numbers(self):
        """All numbers that can be loaded, highest first."""
        numbers, bound = [], SelectionCriteria().max_sequence_nr
        while bound >= 0 and (found := await self.load(max_sequence_nr=bound)) is not None:
            numbers.append(found[0])
            bound = found[0] - 1
        return numbers

    async def delete(self, number, timestamp=0):
        await self.store.delete(self.metadata(number, timestamp))

    async def delete_matching(self, **bounds):
        await self.store.delete_matching(self.persistence_id, SelectionCriteria(**bounds))


@pytest.fixture(scope="session")
def shelf_of():
    return Shelf


@pytest.fixture(scope="session")
def compacted_log():
    """Makes logs in memory."""
    return _log.CompactedLog


@pytest.fixture(scope="session", params=["topic-per-id", "shared"])
def layout(request):
    """Which topics hold the snapshots of stores on a log in memory; a shared one has one partition there."""
    return request.param


@pytest.fixture(scope="session")
def topic_of_id(layout):
    """The topic that holds the snapshots of the id "id"."""
    return {"topic-per-id": "snapshot-id", "shared": "snapshot-shared"}[layout]


def open_with(layout):
    def open_on(driver, *, clock=None, serializer=None, **changes):
        shared = SharedSnapshotsConfig(partitions=1)
        settings = {"layout": layout, "shared": shared, "chunk_bytes": 512, "max_record_bytes": 1_000_000, **changes}
        return open_snapshot_store_on(driver, SnapshotStoreConfig(**settings), serializer=serializer, clock=clock)

    return open_on


@pytest.fixture(scope="session")
def open_on(layout):
    """Opens a store on a driver, with small chunks."""
    return open_with(layout)


@pytest.fixture(scope="session")
def open_per_id():
    """The same, with a topic for each id."""
    return open_with("topic-per-id")
