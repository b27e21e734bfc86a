"""Transactions of a raw client, for tests of those who read beside them."""

from __future__ import annotations

from confluent_kafka import Producer

from tests.publishing.committed import settle


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
    settle(servers, topic)
