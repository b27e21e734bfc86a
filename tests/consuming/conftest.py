"""Events in a topic of the session's real Kafka."""

from __future__ import annotations

import logging
import threading
import uuid
from contextlib import contextmanager
from functools import partial

import pytest
import trio
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist import (
    AtomicWrite,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    PersistentRepr,
    TopicsConfig,
    open_events,
    open_journal,
)
from tests.publishing.committed import settle
from tests.support.transactions import produce_in_vain


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


class Place:
    """A topic with events, and who reads it."""

    def __init__(self, servers, prefix):
        self.servers, self.prefix = servers, prefix
        self.topic, self.group = f"{prefix}published", f"{prefix}group"
        self.config = JournalConfig(
            bootstrap_servers=servers, prefix=f"{prefix}j-", event_producer=EventProducerConfig(partitions=4)
        )
        self.numbers = {}

    def create(self, partitions=4, topic=None):
        admin = AdminClient({"bootstrap.servers": self.servers, "logger": logging.getLogger("tests.raw")})
        topic = topic or self.topic
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()

    async def write(self, count, names=("a", "b", "c"), payload=None):
        """Store and publish so many more events of each id."""
        async with open_journal(self.config, event_topic_mapper=To(self.topic)) as journal:
            await write_some(journal, names, count, payload)

    def produce(self, value, key=b"raw"):
        with Producer({"bootstrap.servers": self.servers}) as client:
            client.produce(self.topic, value, key, 0)
            client.flush(30)

    def settle(self):
        """Return when no transaction is open in the topic."""
        settle(self.servers, self.topic)

    def produce_in_vain(self, partitions):
        """Abort a transaction with an event in each partition."""
        produce_in_vain(self.servers, self.topic, partitions)

    def events(self, **settings):
        return open_events(self.config, self.topic, **{"group": self.group, **settings})

    def members(self):
        """How many members the group has, as its coordinator sees it."""
        admin = AdminClient({"bootstrap.servers": self.servers, "logger": logging.getLogger("tests.raw")})
        return len(admin.describe_consumer_groups([self.group])[self.group].result().members)

    def committed(self, partitions=4):
        """The sum of the group's committed positions."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": self.group})
        try:
            found = consumer.committed([TopicPartition(self.topic, each) for each in range(partitions)], timeout=10)
            return sum(max(0, each.offset) for each in found)
        finally:
            consumer.close()

    @contextmanager
    def open_commit(self, offset):
        """A transaction that will move the group's position in partition 0, still open; gives what commits it."""
        raw = {"bootstrap.servers": self.servers, "logger": logging.getLogger("tests.raw")}
        producer = Producer({**raw, "transactional.id": self.group})
        producer.init_transactions(30)
        producer.begin_transaction()
        with Consumer({**raw, "group.id": self.group}) as consumer:
            position = [TopicPartition(self.topic, 0, offset)]
            producer.send_offsets_to_transaction(position, consumer.consumer_group_metadata(), 30)
        yield partial(producer.commit_transaction, 30)
        producer.close()

    def without_creation(self):
        return JournalConfig(bootstrap_servers=self.servers, topics=TopicsConfig(create=False))


async def write_some(journal, names, count, payload=None):
    """Store so many more events of each id, in one atomic write."""
    for name in names:
        writer = uuid.uuid4()
        first = await journal.claim(name, writer) + 1
        await journal.write(
            [
                AtomicWrite(
                    PersistentRepr(
                        persistence_id=name,
                        sequence_nr=number,
                        payload=number if payload is None else payload,
                        writer=writer,
                    )
                    for number in range(first, first + count)
                )
            ]
        )


async def take(stream, count):
    """The next events of a stream."""
    with trio.fail_after(60):
        await trio.lowlevel.checkpoint()
        return [await stream.receive() for _ in range(count)]


def wait_for_closing():
    """Return when no client is being closed any more: a cancelled block does not wait for its goodbye to the group."""
    for thread in threading.enumerate():
        if thread.name.startswith("closing"):
            thread.join(90)


@pytest.fixture
def place(kafka_server, kafka_prefix):
    yield Place(kafka_server.bootstrap_servers, kafka_prefix)
    wait_for_closing()
