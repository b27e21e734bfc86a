"""Opening stores so that they only read: nothing is taken over, created or published, and no index is locked."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec

import attrs

from ..config import Config, JournalConfig, SnapshotStoreConfig
from ..journal import KafkaJournal, open_journal
from ..publishing import EmptyEventTopicMapper
from ..serialization import Serializer
from ..snapshots import KafkaSnapshotStore, open_snapshot_store


@contextmanager
def index_directory(config: JournalConfig | SnapshotStoreConfig) -> Iterator[str]:
    """A directory for an index of our own, removed at the end: the program's belongs to the program, which may be running.

    Without the extra ``shared`` it is "": an index in memory, which is as large as the logs.
    """
    if config.layout == "topic-per-id" or find_spec("lmdb") is None:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="kafka-persist-") as folder:
        yield folder


def for_reading(config: JournalConfig, directory: str = "") -> JournalConfig:
    """The program's configuration without all that changes something.

    A topic whose settings lose data is read all the same: that may be why somebody looks.

    Args:
        config: the program's.
        directory: for the index of the shared layout; "" keeps it in memory.
    """
    return attrs.evolve(
        config,
        topics=attrs.evolve(config.topics, create=False),
        shared=attrs.evolve(config.shared, directory=directory),
        event_producer=attrs.evolve(config.event_producer, publish_pending=False),
        settings_policy="warn",
    )


def snapshots_apart(config: SnapshotStoreConfig, directory: str = "") -> SnapshotStoreConfig:
    """The program's configuration without its index, which it may be using."""
    return attrs.evolve(config, shared=attrs.evolve(config.shared, directory=directory))


def for_writing(config: JournalConfig, *, create: bool = True) -> JournalConfig:
    """The program's configuration for a command that writes: it locks no index, and publishes no more than it has to.

    Args:
        config: the program's.
        create: whether missing topics may be created, if the program may.
    """
    return attrs.evolve(
        config,
        topics=attrs.evolve(config.topics, create=config.topics.create and create),
        shared=attrs.evolve(config.shared, directory=""),
        event_producer=attrs.evolve(config.event_producer, publish_pending=False),
    )


@asynccontextmanager
async def open_journal_for_reading(config: Config, serializer: Serializer) -> AsyncIterator[KafkaJournal]:
    """Open the journal; see `for_reading`. The mapper that the configuration names is not loaded.

    Raises:
        ConnectError, AuthenticationError: see `open_journal`.
    """
    with index_directory(config.journal) as folder:
        reading = for_reading(config.journal, folder)
        async with open_journal(reading, serializer=serializer, event_topic_mapper=EmptyEventTopicMapper()) as journal:
            yield journal


@asynccontextmanager
async def open_snapshots_for_reading(config: Config, serializer: Serializer) -> AsyncIterator[KafkaSnapshotStore]:
    """Open the snapshot store; see `for_reading`.

    Raises:
        ConnectError, AuthenticationError: see `open_snapshot_store`.
    """
    store = config.snapshot_store
    with index_directory(store) as folder:
        topics = attrs.evolve(store.topics, create=False)
        reading = attrs.evolve(snapshots_apart(store, folder), topics=topics, settings_policy="warn")
        async with open_snapshot_store(reading, serializer=serializer) as opened:
            yield opened
