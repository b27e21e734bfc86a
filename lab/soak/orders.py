"""What a process of the soak is told, and the configuration that follows from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from kafka_persist import Config, JournalConfig, SnapshotStoreConfig, TopicsConfig, ZookeeperConfig
from kafka_persist.config import EventProducerConfig, Layout, SharedConfig, SharedSnapshotsConfig

from .plan import CONNECT_TIMEOUT, DELIVERY_TIMEOUT, LOGS, STALL_TIMEOUT

EMPTY_MAPPER: Final = "kafka_persist.publishing:EmptyEventTopicMapper"
"""The journal alone is under test: nothing is published."""

PREFIX: Final = "service-"
"""What the topics of the services begin with: those of the writers belong to another journal."""

EVENTS_TOPIC: Final = "events"
READ_MODEL: Final = "read-model.sqlite"


@attrs.frozen(kw_only=True)
class Orders:
    """What a process is told on its command line.

    Attributes:
        servers: the brokers.
        history: the file to write to.
        process: its name, unique in the run.
        ids: the persistence ids of a writer or reader.
        seed: where its chances come from.
        pause: mean seconds between two writes of an id.
        faulty: its driver fails by itself.
        crash: where to die, and in which append; None: nowhere.
        replication: copies of each partition.
        zookeeper: where to ask for the brokers; "" uses `servers`.
        layout: of the journal and the snapshot store.
        index: where the shared layout's indexes are; "" for memory.
    """

    servers: str
    history: str
    process: str
    ids: Sequence[str]
    seed: int
    pause: float = 0.2
    faulty: bool = False
    crash: tuple[str, int] | None = None
    replication: int = 1
    zookeeper: str = ""
    layout: Layout = "topic-per-id"
    index: str = ""

    @property
    def directory(self) -> Path:
        """Where everything of the run is."""
        return Path(self.history).parent

    def to_argument(self) -> str:
        """One word of a command line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Orders:
        """The orders of a command line's word."""
        return cls(**json.loads(text))


def writer_config(orders: Orders) -> JournalConfig:
    """The configuration of the writers, who bring their own entities and publish nothing."""
    return JournalConfig(
        bootstrap_servers=orders.servers,
        layout=orders.layout,
        shared=SharedConfig(partitions=LOGS, directory=orders.index),
        event_producer=EventProducerConfig(topic_mapper_class=EMPTY_MAPPER),
        **_common(orders.replication),
    )


def victim_config(servers: str, replication: int, layout: Layout, pid: str) -> JournalConfig:
    """The configuration of a journal for one id, which is damaged."""
    return JournalConfig(
        bootstrap_servers=servers,
        layout=layout,
        prefix=f"{pid}-" if layout == "shared" else "",
        shared=SharedConfig(partitions=1),
        event_producer=EventProducerConfig(topic_mapper_class=EMPTY_MAPPER),
        **_common(replication),
    )


def service_config(orders: Orders) -> Config:
    """The configuration of the services: entities, snapshots, published events."""
    common = _common(orders.replication)
    if orders.zookeeper:
        common["zookeeper"] = ZookeeperConfig(connect=orders.zookeeper)
    else:
        common["bootstrap_servers"] = orders.servers
    return Config(
        journal=JournalConfig(
            prefix=PREFIX,
            layout=orders.layout,
            shared=SharedConfig(partitions=LOGS, directory=orders.index),
            event_producer=EventProducerConfig(partitions=4),
            **common,
        ),
        snapshot_store=SnapshotStoreConfig(
            prefix=f"snapshot-{PREFIX}",
            layout=orders.layout,
            shared=SharedSnapshotsConfig(partitions=LOGS, directory=orders.index),
            **common,
        ),
    )


def _common(replication: int) -> dict[str, Any]:
    settings = {"min.insync.replicas": 2} if replication > 1 else {}
    return {
        "topics": TopicsConfig(replication_factor=replication, settings=settings),
        "delivery_timeout": DELIVERY_TIMEOUT,
        "recovery_stall_timeout": STALL_TIMEOUT,
        "connect_timeout": CONNECT_TIMEOUT,
        "client": {"reconnect.backoff.max.ms": 500},
    }
