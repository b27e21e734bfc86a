"""Transactions of a raw client, for tests of those who read beside them."""

from __future__ import annotations

import logging

from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec


def settle(servers, topic, partitions):
    """Return when no transaction is open in the topic."""
    admin = AdminClient({"bootstrap.servers": servers, "logger": logging.getLogger("tests.raw")})
    for partition in (TopicPartition(topic, each) for each in range(partitions)):
        ends = set(range(2))
        while len(ends) > 1:
            answers = [
                admin.list_offsets({partition: OffsetSpec.latest()}, isolation_level=level)[partition]
                for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
            ]
            ends = {answer.result().offset for answer in answers}


def produce_in_vain(servers, topic, partitions):
    """Abort a transaction with an event in each partition, and return when it is settled."""
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(partitions):
        producer.produce(topic, b"no event", b"a", partition)
    producer.flush(30)
    producer.abort_transaction(30)
    producer.close()
    settle(servers, topic, partitions)
