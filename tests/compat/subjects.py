"""How another process opens the Kafka stores: by name."""

from compat_suite.kafka_backdoor import damageable_serializer
from kafka_persist import open_journal, open_snapshot_store


def open_kafka_journal(config):
    return open_journal(config, serializer=damageable_serializer())


def open_kafka_snapshot_store(config):
    return open_snapshot_store(config)
