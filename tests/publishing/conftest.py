"""A journal that publishes, on the session's real Kafka, and a raw client that sees what arrives."""

from __future__ import annotations

import time
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition

from kafka_persist import (
    EventDecoder,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    TopicsConfig,
    open_journal,
)

from .committed import settle


class To(EventTopicMapper):
    """Maps every event to the same topics, or to what a function says."""

    def __init__(self, *topics, fn=None):
        self.topics, self.fn = topics, fn

    def topics_for(self, event):
        return self.topics if self.fn is None else self.fn(event)


class Broker:
    """What somebody without the library sees, and short ways to open a journal."""

    def __init__(self, servers, prefix):
        self.servers, self.prefix = servers, prefix
        self.topic = f"{prefix}published"

    def config(self, *, mode="at-least-once", create=True, delivery_timeout=10, **settings):
        return JournalConfig(
            bootstrap_servers=self.servers,
            prefix=f"{self.prefix}j-",
            topics=TopicsConfig(create=create),
            event_producer=EventProducerConfig(mode=mode, **settings),
            delivery_timeout=delivery_timeout,
        )

    def open(self, mapper=None, *, serializer=None, **settings):
        mapper = To(self.topic) if mapper is None else mapper
        return open_journal(self.config(**settings), event_topic_mapper=mapper, serializer=serializer)

    def read(self, topic=None):
        """All records of a topic as (partition, key, value), up to its end now."""
        topic = topic or self.topic
        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": uuid.uuid4().hex, "enable.partition.eof": True}
        )
        try:
            found = consumer.list_topics(topic, timeout=10).topics[topic]
            partitions = [TopicPartition(topic, each, 0) for each in found.partitions]
            consumer.assign(partitions)
            return self._collect(consumer, len(partitions))
        finally:
            consumer.close()

    def _collect(self, consumer, ends):
        records, deadline = [], time.monotonic() + 30
        while ends:
            assert time.monotonic() < deadline, "the topic's end was not reached"
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error() is not None:
                assert message.error().code() == -191, message.error()
                ends -= 1
            else:
                records.append((message.partition(), message.key(), message.value()))
        return records

    def committed(self, persistence_id, topic=None):
        """The same as `numbers`, when no transaction is open any more; reads committed records, as clients do by default."""
        settle(self.servers, topic or self.topic)
        return self.numbers(persistence_id, topic)

    def numbers(self, persistence_id, topic=None):
        """The sequence numbers of an id's published events, in the order of the topic."""
        decode = EventDecoder()
        events = [decode(value) for _, _, value in self.read(topic)]
        return [event.sequence_nr for event in events if event.persistence_id == persistence_id]


def published_up_to(journal, persistence_id):
    """Up to which number the journal knows the id's events to be published."""
    with journal._ids.using(persistence_id) as idlog:
        return idlog.published


@pytest.fixture
def broker(kafka_server, kafka_prefix):
    return Broker(kafka_server.bootstrap_servers, kafka_prefix)
