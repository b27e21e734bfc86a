"""An entity to follow and a view of it, in memory and on the session's real Kafka."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from kafka_persist import (
    Config,
    EventProducerConfig,
    JournalConfig,
    MemoryBackend,
    SnapshotStoreConfig,
    open_memory_journal,
    open_memory_snapshot_store,
    open_persistence,
    open_persistence_on,
)


class InMemory:
    """Stores on one backend: `open` twice is what two processes do."""

    def __init__(self):
        self.backend = MemoryBackend()

    @asynccontextmanager
    async def open(self):
        async with (
            open_memory_journal(self.backend) as journal,
            open_memory_snapshot_store(self.backend) as store,
            open_persistence_on(journal, store) as persistence,
        ):
            yield persistence


class OnKafka:
    """Stores with prefixes of their own on the session's broker."""

    def __init__(self, server, prefix):
        nowhere = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")
        self.config = Config(
            journal=JournalConfig(bootstrap_servers=server.bootstrap_servers, prefix=prefix, event_producer=nowhere),
            snapshot_store=SnapshotStoreConfig(prefix=f"snapshot-{prefix}"),
        )

    def open(self):
        return open_persistence(self.config)


@pytest.fixture
def memory():
    """Stores in memory."""
    return InMemory()


@pytest.fixture
def kafka_world(kafka_server, kafka_prefix):
    """Stores in Kafka."""
    return OnKafka(kafka_server, kafka_prefix)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.broker)])
def world(request):
    """Stores in memory, then in Kafka."""
    return InMemory() if request.param == "memory" else request.getfixturevalue("kafka_world")


def append(state, event):
    """The state is the list of all events, so that nothing can be lost or doubled without being seen."""
    return [*state, event]


@pytest.fixture
def entity():
    """Open the entity "account"."""
    return lambda persistence: persistence.entity("account", initial=[], evolve=append)


@pytest.fixture
def view():
    """Open a view of "account"; its state is the list of the events that it has seen."""

    def open_view(persistence, persistence_id="account", **options):
        given = {"view_id": "statement", "initial": [], "evolve": append, "poll_every": 0.01}
        return persistence.view(persistence_id, **(given | options))

    return open_view
