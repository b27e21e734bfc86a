"""Three brokers, each record on all of them and acknowledged by two: what a production cluster looks like."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
import trio

from kafka_persist import (
    Config,
    Event,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    SnapshotStoreConfig,
    TopicsConfig,
    open_persistence,
)
from kafka_persist_testkit import TestServer

from .times import CONNECT, DELIVERY, STALL

PROPERTIES = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "replica.lag.time.max.ms": "2000",
}
NOTICED = {
    "zookeeper": {"zookeeper.session.timeout.ms": "6000"},
    "kraft": {"broker.session.timeout.ms": "3000"},
}
"""A broker that answers nobody loses its offices soon."""

UNNOTICED = {
    "zookeeper": {"zookeeper.session.timeout.ms": "40000"},
    "kraft": {"broker.session.timeout.ms": "40000"},
}
"""A broker that answers nobody stays the leader for longer than any test waits."""

MODES = ["zookeeper", pytest.param("kraft", marks=pytest.mark.kraft)]


@attrs.frozen
class OneTopic(EventTopicMapper):
    """Publishes every event to one topic."""

    topic: str

    def topics_for(self, event: Event) -> Sequence[str]:
        return (self.topic,)


@attrs.frozen
class Cluster:
    """Three brokers that may be mistreated."""

    server: TestServer

    def config(self, prefix: str, *, stall: float = STALL) -> Config:
        """The configuration of a service whose topics begin with `prefix`."""
        topics = TopicsConfig(replication_factor=3, settings={"min.insync.replicas": 2})
        both = {
            "bootstrap_servers": self.server.bootstrap_servers,
            "topics": topics,
            "connect_timeout": CONNECT,
            "delivery_timeout": DELIVERY,
            "recovery_stall_timeout": stall,
            "client": {"reconnect.backoff.max.ms": 500},
            "consumer": {"socket.timeout.ms": 6000},
        }
        return Config(
            journal=JournalConfig(prefix=prefix, event_producer=EventProducerConfig(partitions=4), **both),
            snapshot_store=SnapshotStoreConfig(prefix=f"snapshot-{prefix}", **both),
        )

    def open(self, prefix: str, **changes):
        """Open a persistence of its own: what a process of its own would have."""
        return open_persistence(self.config(prefix, **changes), event_topic_mapper=OneTopic(events_topic(prefix)))

    # Control over brokers blocks, so it happens in threads.

    async def kill(self, number: int) -> None:
        await trio.to_thread.run_sync(self.server.brokers[number].kill)

    async def start(self, number: int) -> None:
        await trio.to_thread.run_sync(self.server.brokers[number].start)

    async def restart(self, number: int) -> None:
        await trio.to_thread.run_sync(self.server.brokers[number].restart)

    async def pause(self, number: int) -> None:
        await trio.to_thread.run_sync(self.server.brokers[number].pause)

    async def resume(self, number: int) -> None:
        await trio.to_thread.run_sync(self.server.brokers[number].resume)

    def heal(self) -> None:
        """Bring back what a test that failed has left down."""
        for broker in self.server.brokers:
            broker.start()


def events_topic(prefix: str) -> str:
    return f"published-{prefix}"  # names that begin with the prefix are the journal's


@pytest.fixture(scope="module", params=MODES)
def servers(request):
    """The module's cluster; a module with BROKERS_STAY_LEADERS has brokers that nobody replaces when they are silent."""
    properties = (UNNOTICED if getattr(request.module, "BROKERS_STAY_LEADERS", False) else NOTICED)[request.param]
    with TestServer(request.param, brokers=3, properties=PROPERTIES | properties, java_options=["-Xmx384m"]) as server:
        yield Cluster(server)


@pytest.fixture
def cluster(servers):
    """The module's cluster, whole at the beginning of each test."""
    yield servers
    servers.heal()
