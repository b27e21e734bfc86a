"""Entities in memory and on the session's real Kafka, opened again and again on the same data."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import pytest
import trio

from kafka_persist import (
    Config,
    EventProducerConfig,
    Journal,
    JournalConfig,
    MemoryBackend,
    SnapshotStore,
    SnapshotStoreConfig,
    open_journal,
    open_memory_journal,
    open_memory_snapshot_store,
    open_persistence,
    open_persistence_on,
    open_snapshot_store,
)

NOWHERE = "kafka_persist.publishing:EmptyEventTopicMapper"


class InMemory:
    """Stores on one backend: `open` twice is what two processes do."""

    def __init__(self):
        self.backend = MemoryBackend()

    @asynccontextmanager
    async def open(self, *, max_concurrent_recoveries=50, ignore_orphan=True, serializer=None):
        options = {"serializer": serializer}
        async with AsyncExitStack() as stack:
            journal = ScriptedJournal(await stack.enter_async_context(open_memory_journal(self.backend, **options)))
            store = ScriptedStore(await stack.enter_async_context(open_memory_snapshot_store(self.backend, **options)))
            yield await stack.enter_async_context(
                open_persistence_on(
                    journal, store, max_concurrent_recoveries=max_concurrent_recoveries, ignore_orphan=ignore_orphan
                )
            )

    def open_scripted(self):
        """Open it with scripts, as `open` does here anyway."""
        return self.open()


class OnKafka:
    """Stores with prefixes of their own on the session's broker."""

    def __init__(self, server, prefix):
        self.config = Config(
            journal=JournalConfig(
                bootstrap_servers=server.bootstrap_servers,
                prefix=prefix,
                event_producer=EventProducerConfig(topic_mapper_class=NOWHERE),
            ),
            snapshot_store=SnapshotStoreConfig(bootstrap_servers=server.bootstrap_servers, prefix=f"snapshot-{prefix}"),
        )

    def open(self, *, ignore_orphan=True, serializer=None):
        store = attrs.evolve(self.config.snapshot_store, ignore_orphan=ignore_orphan)
        return open_persistence(Config(journal=self.config.journal, snapshot_store=store), serializer=serializer)

    @asynccontextmanager
    async def open_scripted(self):
        """Open it with scripts, as `InMemory.open` does."""
        async with (
            open_journal(self.config.journal) as journal,
            open_snapshot_store(self.config.snapshot_store) as store,
            open_persistence_on(ScriptedJournal(journal), ScriptedStore(store)) as persistence,
        ):
            yield persistence


class Script:
    """What the next calls of a method do first: raise an error, wait for an event, or run an async function."""

    def __init__(self):
        self.steps = []
        self.calls = 0

    async def play(self):
        self.calls += 1
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, trio.Event):
            await step.wait()
        elif callable(step):
            await step()
        elif step is not None:
            raise step


class ScriptedJournal(Journal):
    """Another journal whose writes and claims follow a script, before and after they happen."""

    def __init__(self, inner):
        self.inner = inner
        self.before_write, self.after_write, self.before_claim = Script(), Script(), Script()
        self.after_claim, self.after_look, self.before_event = Script(), Script(), Script()
        for name in ("delete_to", "bookmark", "deleted_to", "resume_from"):
            setattr(self, name, getattr(inner, name))

    async def claim(self, persistence_id, writer):
        await self.before_claim.play()
        highest = await self.inner.claim(persistence_id, writer)
        await self.after_claim.play()
        return highest

    async def highest_sequence_nr(self, persistence_id):
        highest = await self.inner.highest_sequence_nr(persistence_id)
        await self.after_look.play()
        return highest

    @asynccontextmanager
    async def replay(self, persistence_id, **bounds):
        async with self.inner.replay(persistence_id, **bounds) as events:
            yield ScriptedReplay(events, self.before_event)

    async def write(self, writes):
        await self.before_write.play()
        results = await self.inner.write(writes)
        await self.after_write.play()
        return results

    capabilities = property(lambda self: self.inner.capabilities)
    delete_to = None


class ScriptedReplay:
    """A replay that plays a script before each event."""

    def __init__(self, inner, script):
        self.inner = inner
        self.script = script

    def __aiter__(self):
        return self

    async def __anext__(self):
        await self.script.play()
        return await self.inner.__anext__()


class ScriptedStore(SnapshotStore):
    """Another snapshot store whose saves and loads follow a script."""

    def __init__(self, inner):
        self.inner = inner
        self.before_save, self.before_load, self.after_load = Script(), Script(), Script()
        self.delete, self.delete_matching = inner.delete, inner.delete_matching

    async def save(self, metadata, snapshot):
        await self.before_save.play()
        return await self.inner.save(metadata, snapshot)

    async def load(self, *args):
        await self.before_load.play()
        found = await self.inner.load(*args)
        await self.after_load.play()
        return found

    capabilities = property(lambda self: self.inner.capabilities)
    delete = delete_matching = None


@pytest.fixture
def memory():
    """Stores in memory, with scripts for their faults."""
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
    """Open the entity "account" in a persistence; its state is the list of its events."""

    def open_entity(persistence, persistence_id="account", **options):
        return persistence.entity(persistence_id, **{"initial": [], "evolve": append, **options})

    return open_entity


@pytest.fixture
def stored():
    """Read what the journal of a persistence holds: pairs of sequence number and payload."""

    async def read(persistence, persistence_id="account"):
        async with persistence.journal.replay(persistence_id) as events:
            return [(event.sequence_nr, event.payload) async for event in events]

    return read
