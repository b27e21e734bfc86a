"""A kind of account with all of retention, and where it is in Kafka; for the tests and the processes that they start."""

from __future__ import annotations

import attrs

from kafka_persist import Config, EntityType, EventProducerConfig, JournalConfig, Serializer, SnapshotStoreConfig

NOWHERE = "kafka_persist.publishing:EmptyEventTopicMapper"
STEPS = ("before-save", "after-save", "before-events", "after-events", "after-snapshots")

SERIALIZER = Serializer()


@SERIALIZER.register_type(name="put")
@attrs.frozen
class Put:
    amount: int


def evolve(balance: int, event: Put) -> int:
    return balance + event.amount


def put(_balance: int, amount: int) -> list[Put]:
    return [Put(amount)]


ACCOUNT = EntityType(
    "account", initial=0, evolve=evolve, snapshot_every=4, keep_events=1, keep_snapshots=1, serializer=SERIALIZER
)


def config_of(servers: str, prefix: str) -> Config:
    return Config(
        journal=JournalConfig(
            bootstrap_servers=servers,
            prefix=prefix,
            connect_timeout=60.0,  # several processes start at once on a busy machine
            event_producer=EventProducerConfig(topic_mapper_class=NOWHERE),
        ),
        snapshot_store=SnapshotStoreConfig(
            bootstrap_servers=servers, prefix=f"snapshot-{prefix}", connect_timeout=60.0
        ),
    )
