"""The shared snapshot topic on a real broker: the contract, and a broker that compacts as eagerly as it can in between."""

from __future__ import annotations

import time

import pytest
import trio

from compat_suite import Capability, Elsewhere, SnapshotStoreSpec
from compat_suite.capabilities import SNAPSHOT_STORE
from compat_suite.kafka_backdoor import KafkaBackdoor
from compat_suite.kafka_faults import open_kafka_faults
from kafka_persist import Config, JournalConfig, open_persistence
from kafka_persist.config import EventProducerConfig, SharedConfig, SharedSnapshotsConfig, TopicsConfig
from kafka_persist.model import SelectionCriteria, SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store

pytestmark = pytest.mark.broker

EAGER = TopicsConfig(
    settings={
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.0",
        "max.compaction.lag.ms": "100",
        "delete.retention.ms": "100",
    }
)


def settings(prefix, *, partitions=1, directory="", **changes):
    shared = SharedSnapshotsConfig(partitions=partitions, directory=str(directory))
    return {"layout": "shared", "shared": shared, "prefix": f"s-{prefix}", **changes}


# --- the contract ----------------------------------------------------------------------------------------------------


class TestSharedTopicOnABroker(SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}
    uses_threads = True
    many_ids = 20
    examples = 5
    crash_points = 3
    largest_payload = 1_000_000
    scale = 3.0

    @pytest.fixture
    def config(self, kafka, kafka_prefix):
        return kafka.config(**settings(kafka_prefix, partitions=4, keep=1000))

    @pytest.fixture
    def open_snapshot_store(self, config):
        return lambda: open_snapshot_store(config)

    @pytest.fixture
    def elsewhere(self, config):
        return Elsewhere("tests.compat.subjects:open_kafka_snapshot_store", (config,))

    @pytest.fixture
    def faults(self, kafka, config):
        return lambda: open_kafka_faults(JournalConfig(bootstrap_servers=kafka.servers), config)

    @pytest.fixture
    def backdoor(self, kafka, config):
        return KafkaBackdoor(JournalConfig(bootstrap_servers=kafka.servers), config)


# --- many ids --------------------------------------------------------------------------------------------------------


async def each(async_fn, items):
    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(async_fn, item)


async def test_a_thousand_ids_are_saved_and_fresh_processes_have_them(kafka, kafka_prefix, tmp_path):
    """With a directory, and without one."""
    names = [f"order-{number}" for number in range(1000)]

    async def save(name):
        await store.save(SnapshotMetadata(persistence_id=name, sequence_nr=3), {"name": name})

    async def check(name):
        assert (await store.load(name)).snapshot == {"name": name}

    for directory in (tmp_path, tmp_path, ""):
        async with kafka.open(**settings(kafka_prefix, partitions=4, directory=directory)) as store:
            if await store.load(names[0]) is None:
                await each(save, names)
            await each(check, names)
            assert await store.load("nobody") is None


def add(total, event):
    return total + event


async def test_entities_recover_from_shared_snapshots_of_a_shared_journal(kafka, kafka_prefix, tmp_path):
    """Both layouts shared, one directory for both indexes: two topics for all entities."""
    config = Config(
        journal=JournalConfig(
            bootstrap_servers=kafka.servers,
            layout="shared",
            shared=SharedConfig(partitions=2, directory=str(tmp_path)),
            prefix=kafka_prefix,
            event_producer=EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper"),
        ),
        snapshot_store=kafka.config(**settings(kafka_prefix, partitions=2)),
    )
    assert config.snapshot_store.shared.directory == str(tmp_path)
    for rounds in (1, 2):
        async with open_persistence(config) as persistence:
            for name in ("one", "two"):
                async with persistence.entity(name, initial=0, evolve=add, snapshot_every=3) as account:
                    assert account.snapshot_sequence_nr == (None if rounds == 1 else 3)
                    for amount in (1, 2, 3):
                        await account.persist(amount)
                    assert account.state == 6 * rounds


# --- compaction ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rough(kafka_server_factory, kafka_at):
    """A server whose log cleaner looks around ten times a second."""
    return kafka_at(kafka_server_factory(properties={"log.cleaner.backoff.ms": "100"}))


async def compaction_of(kafka, store, topic, *, below, most):
    """Save other snapshots, which rolls segments, until only `most` records are left below an offset."""
    number, deadline = 1, time.monotonic() + 60
    while len([record for record in kafka.records(topic) if record.offset < below]) > most:
        assert time.monotonic() < deadline, kafka.records(topic)
        await store.save(SnapshotMetadata(persistence_id="roller", sequence_nr=number), b"y" * 2500)
        number += 1
        await trio.sleep(0.1)  # the cleaner has no event to wait for


@pytest.mark.parametrize("on_disk", [True, False], ids=["with a directory", "without"])
async def test_after_a_real_compaction_everybody_has_what_is_there(rough, kafka_prefix, tmp_path, shelf_of, on_disk):
    """Tombstones are gone, too: an index that was left behind, one in use, and none at all give the same."""
    directory = tmp_path if on_disk else ""
    given = settings(kafka_prefix, keep=2, chunk_bytes=1000, topics=EAGER)
    topic = f"s-{kafka_prefix}shared"
    async with rough.open(**given | settings(kafka_prefix, directory=directory)) as store:
        for name in ("kept", "replaced", "deleted"):
            await shelf_of(store, name).save(5, value=b"a" * 2500)
    async with rough.open(**given) as idle, rough.open(**given) as store:
        assert await shelf_of(idle, "deleted").load() == (5, b"a" * 2500)
        await shelf_of(store, "replaced").save(6, 7, value=b"b" * 2500)
        await store.delete_matching("deleted", SelectionCriteria())
        # Left below: how many partitions there are, "kept" and two of "replaced", four records each.
        await compaction_of(rough, store, topic, below=rough.records(topic)[-1].offset, most=13)
        async with rough.open(**given | settings(kafka_prefix, directory=directory)) as again:
            for each_store in (idle, store, again):
                assert await shelf_of(each_store, "kept").numbers() == [5]
                assert await shelf_of(each_store, "replaced").numbers() == [7, 6]
                assert await shelf_of(each_store, "deleted").numbers() == []
            assert await shelf_of(again, "kept").load() == (5, b"a" * 2500)
            await shelf_of(again, "deleted").save(1)
            assert await shelf_of(idle, "deleted").numbers() == [1]
