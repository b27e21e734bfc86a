"""The snapshot store on a real broker: topics, sizes, retention, restarts."""

from __future__ import annotations

import hashlib
import random
import uuid

import attrs
import pytest
import trio

from kafka_persist._core.snapshot_format import Commit, Kind, SaveKey, digest_of, encode_commit, parse_key
from kafka_persist._core.snapshot_payload import encode_payload
from kafka_persist.abc import Capability
from kafka_persist.config import TopicsConfig
from kafka_persist.errors import BrokerError, SerializationError, TopicMissing, TopicSettingsRefused, UsageError
from kafka_persist.model import SelectionCriteria, SnapshotMetadata
from kafka_persist.serialization import Serializer

BROKER_DEFAULT = 1_048_588


@attrs.frozen
class Account:
    balance: int


async def test_a_snapshot_comes_back_with_all_that_travels_with_it(kafka, name):
    """State, metadata and bookmark survive a restart; the timestamp is the store's."""
    serializer = Serializer()
    serializer.register(Account)
    wanted = SnapshotMetadata(persistence_id=name, sequence_nr=7, timestamp=5, metadata={"why": "test"}, bookmark=b"b")
    async with kafka.open(serializer=serializer) as store:
        saved = await store.save(wanted, Account(3))
        assert saved.timestamp > 1_700_000_000_000
    async with kafka.open(serializer=serializer) as store:
        found = await store.load(name)
    assert found.metadata == saved == attrs.evolve(wanted, timestamp=saved.timestamp)
    assert (found.snapshot, found.metadata.bookmark) == (Account(3), b"b")


async def test_loading_and_deleting_create_no_topic(kafka, name):
    """An id without snapshots has certainly none, and leaves no trace."""
    async with kafka.open() as store:
        assert await store.load(name) is None
        await store.delete(SnapshotMetadata(persistence_id=name, sequence_nr=1))
        await store.delete_matching(name, SelectionCriteria())
    assert not kafka.exists(f"snapshot-{name}")


async def test_the_topic_is_compacted_and_tombstones_outlive_readers(kafka, name, shelf_of):
    async with kafka.open() as store:
        await shelf_of(store, name).save(1)
    settings = kafka.settings(f"snapshot-{name}")
    assert settings["cleanup.policy"] == "compact"
    assert settings["delete.retention.ms"] == str(24 * 3600 * 1000)
    assert settings["segment.bytes"] == str(32 * 1024 * 1024)


async def test_a_topic_that_deletes_by_age_is_refused(kafka, name, shelf_of):
    """The newest snapshot would go when it gets old."""
    async with kafka.open(topics=TopicsConfig(settings={"min.insync.replicas": "1"})) as store:
        await shelf_of(store, name).save(1)
    kafka.alter(f"snapshot-{name}", "cleanup.policy", "delete")
    async with kafka.open() as store:
        with pytest.raises(TopicSettingsRefused, match=r"it must be 'compact'"):
            await shelf_of(store, name).save(2)


async def test_a_missing_topic_that_may_not_be_created_is_an_error_on_saving(kafka, name, shelf_of):
    async with kafka.open(topics=TopicsConfig(create=False)) as store:
        with pytest.raises(TopicMissing, match=name):
            await shelf_of(store, name).save(1)
        assert await shelf_of(store, name).load() is None


async def test_ten_megabytes_go_through_a_broker_with_default_settings(kafka, name, shelf_of):
    """A large snapshot is stored in chunks, each below the broker's default limit, and comes back byte by byte."""
    value = random.Random(1).randbytes(10_000_000)
    async with kafka.open() as store:
        await shelf_of(store, name).save(1, value=value)
        found = await store.load(name)
    assert hashlib.sha256(found.snapshot).digest() == hashlib.sha256(value).digest()
    records = kafka.records(f"snapshot-{name}")
    chunks = [record for record in records if parse_key(record.key).kind is Kind.CHUNK]
    assert len(chunks) == 12
    assert max(len(record.key) + len(record.value or b"") for record in records) < BROKER_DEFAULT


def commit_of(name, number):
    """Key and value of a whole snapshot, as a store writes it."""
    metadata = SnapshotMetadata(persistence_id=name, sequence_nr=number)
    payload = encode_payload(Serializer(), metadata, f"s-{number}")
    key = SaveKey(digest_of(name), number, number, uuid.uuid4().bytes).commit()
    return key, encode_commit(key, name, Commit(number, len(payload), 0, 0, payload))


@pytest.mark.parametrize("distance", [-300, -1, 0, 1, 300])
async def test_sizes_around_a_chunk_come_back(kafka, name, shelf_of, distance):
    """No byte is lost where one record becomes two."""
    async with kafka.open(chunk_bytes=2000) as store:
        await shelf_of(store, name).save(1, value="x" * (4000 + distance))
        assert await shelf_of(store, name).load() == (1, "x" * (4000 + distance))


async def test_the_longest_id_and_the_smallest_records_go_together(kafka, name, shelf_of):
    """The full id stands in every record; chunks leave room for it."""
    longest = (name + "ß" * 1000)[:1000]
    async with kafka.open(max_record_bytes=2600, chunk_bytes=2600) as store:
        await shelf_of(store, longest).save(1, value=b"x" * 5000)
        assert await shelf_of(store, longest).load() == (1, b"x" * 5000)
    async with kafka.open(max_record_bytes=1024, chunk_bytes=512) as store:
        with pytest.raises(UsageError, match="raise max-record-bytes"):
            await shelf_of(store, longest).save(2)


async def test_a_snapshot_over_the_limit_is_refused_with_its_size(kafka, name, shelf_of):
    async with kafka.open(max_snapshot_bytes=1000) as store:
        with pytest.raises(SerializationError, match=r"has 10\d\d bytes; the limit is 1000 \(max-snapshot-bytes\)"):
            await shelf_of(store, name).save(1, value="x" * 1000)
        assert await shelf_of(store, name).load() is None


async def test_a_topic_with_a_smaller_record_limit_refuses_and_says_what_to_do(kafka, name, shelf_of):
    """Certainly not stored, and the older snapshot is still there."""
    async with kafka.open(topics=TopicsConfig(settings={"max.message.bytes": "10000"})) as store:
        await shelf_of(store, name).save(1)
        for size in (20_000, 2_000_000):
            with pytest.raises(BrokerError, match="lower chunk-bytes"):
                await shelf_of(store, name).save(2, value="x" * size)
        assert await shelf_of(store, name).numbers() == [1]


async def test_the_newest_are_kept(kafka, name, shelf_of):
    """`keep` counts sequence numbers, whatever the order of saving."""
    async with kafka.open(keep=3) as store:
        shelf = shelf_of(store, name)
        await shelf.save(5, 1, 9, 7, 3)
        assert await shelf.numbers() == [9, 7, 5]
        await shelf.save(11, value=b"x" * 2_000_000)
        assert await shelf.numbers() == [11, 9, 7]


async def test_the_latest_stays_when_only_one_is_kept(kafka, name, shelf_of):
    async with kafka.open(keep=1) as store:
        shelf = shelf_of(store, name)
        assert Capability.MULTIPLE_SNAPSHOTS not in store.capabilities
        for number in range(1, 6):
            await shelf.save(number)
            assert await shelf.numbers() == [number]


async def test_replacing_a_chunked_snapshot_by_a_small_one_leaves_only_that(kafka, name, shelf_of):
    """Chunks of a replaced save are deleted, and the new save has a later timestamp."""
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        first = await shelf.save(1, value=b"x" * 2_000_000)
        second = await shelf.save(1, value="small")
        assert second.timestamp > first.timestamp
        await shelf.delete(1, first.timestamp)
        assert await shelf.load() == (1, "small")
        await shelf.delete(1, second.timestamp)
        assert await shelf.load() is None
    last = {record.key: record.value for record in kafka.records(f"snapshot-{name}")}
    assert [parse_key(key).kind for key, value in last.items() if value is not None] == [Kind.INDEX]


async def test_in_a_burst_of_saves_the_last_one_wins(kafka, name, shelf_of):
    """Saves of one id take effect in the order of the calls, whatever their size."""
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        async with trio.open_nursery() as nursery:
            for value in range(30):
                nursery.start_soon(save_in_turn, shelf, value)
                await trio.lowlevel.checkpoint()
        assert await shelf.load() == (1, [29])


async def save_in_turn(shelf, value):
    padding = [0] * (1_000_000 if value % 10 == 0 else 0)
    await shelf.save(1, value=[value] if not padding else [value, bytes(padding)])


async def test_loading_many_large_ones_at_once_is_bounded(kafka, name, shelf_of):
    """No more than `max_concurrent_recoveries` snapshots are read at a time; the others wait and come."""
    async with kafka.open(max_concurrent_recoveries=2) as store:
        shelf, results = shelf_of(store, name), []
        await shelf.save(1, value=b"x" * 2_000_000)

        async def load():
            results.append(await shelf.load())

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(load)
            await trio.testing.wait_all_tasks_blocked(0.0)
            assert "2 loads" in repr(store)
        assert results == [(1, b"x" * 2_000_000)] * 12


async def test_a_thousand_snapshots_of_one_id(kafka, name, shelf_of):
    """Any of them can be loaded, and all can be deleted at once."""
    async with kafka.open(keep=1000) as store:
        shelf = shelf_of(store, name)
        await shelf.save(1)
        kafka.produce_many(f"snapshot-{name}", [commit_of(name, number) for number in range(2, 1001)])
        assert await shelf.load() == (1000, "s-1000")
        assert await shelf.load(max_sequence_nr=500) == (500, "s-500")
        assert await shelf.load(max_sequence_nr=1) == (1, "s-1")
        await shelf.save(1001)
        assert await shelf.load(max_sequence_nr=1) is None
        await shelf.delete_matching(min_sequence_nr=2, max_sequence_nr=1000)
        assert await shelf.numbers() == [1001]
