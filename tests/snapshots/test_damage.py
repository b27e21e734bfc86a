"""What others put into a snapshot topic: an error or, by policy, an older snapshot; never silently none."""

from __future__ import annotations

import logging

import attrs
import pytest

from kafka_persist._core.snapshot_format import Kind, SaveKey, digest_of, parse_key
from kafka_persist.abc import Capability
from kafka_persist.errors import ForeignEvent, PersistenceIdCollision, SnapshotUnreadable
from kafka_persist.serialization import Serializer

LATER = 1 << 50


def newest_commit(kafka, topic):
    """The commit record that was written last."""
    return [each for each in kafka.records(topic) if each.value and parse_key(each.key).kind is Kind.COMMIT][-1]


async def damaged(kafka, name, shelf):
    """Save 1 and 2, then spoil 2."""
    await shelf.save(1, 2)
    topic = f"snapshot-{name}"
    commit = newest_commit(kafka, topic)
    kafka.produce(topic, commit.key, b"\x00" + commit.value)


async def test_an_undecodable_newest_snapshot_fails_and_says_where(kafka, name, shelf_of):
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        await damaged(kafka, name, shelf)
        with pytest.raises(SnapshotUnreadable, match=rf"snapshot-{name}\[0\]@\d+: the snapshot at 2: not a value"):
            await shelf.load()
        assert await shelf.load(max_sequence_nr=1) == (1, "s-1")


async def test_by_policy_an_older_one_is_loaded_with_a_warning(kafka, name, shelf_of, caplog):
    async with kafka.open(on_unreadable="older") as store:
        assert Capability.SNAPSHOT_FALLBACK in store.capabilities
        shelf = shelf_of(store, name)
        await damaged(kafka, name, shelf)
        with caplog.at_level(logging.WARNING, "kafka_persist.snapshots"):
            assert await shelf.load() == (1, "s-1")
        assert "cannot be read, trying an older one" in caplog.text


async def test_by_policy_unreadable_ones_alone_are_still_an_error(kafka, name, shelf_of):
    """None would mean: replay everything, though events may be deleted."""
    async with kafka.open(on_unreadable="older") as store:
        shelf = shelf_of(store, name)
        await damaged(kafka, name, shelf)
        await shelf.delete(1)
        with pytest.raises(SnapshotUnreadable, match="no older one can"):
            await shelf.load()
        assert await shelf.load(max_sequence_nr=1) is None


async def test_an_unreadable_snapshot_can_be_deleted_and_replaced(kafka, name, shelf_of):
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        await damaged(kafka, name, shelf)
        await shelf.delete(2)
        assert await shelf.load() == (1, "s-1")
        await damaged(kafka, name, shelf)
        await shelf.save(2, value="again")
        assert await shelf.load() == (2, "again")


@pytest.mark.parametrize("key", [b"x", b"\x02later format", b"\x01s short"])
async def test_a_record_that_no_store_wrote_fails_until_everything_is_deleted(kafka, name, shelf_of, key):
    """Nobody can tell which snapshot it was."""
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        await shelf.save(1)
        kafka.produce(f"snapshot-{name}", key, b"what is this")
        with pytest.raises(SnapshotUnreadable, match=r"offset 2"):
            await shelf.load()
        await shelf.save(2)
        with pytest.raises(SnapshotUnreadable, match=r"offset 2"):
            await shelf.load()
        await shelf.delete_matching()
        assert await shelf.load() is None
        await shelf.save(1)
        assert await shelf.numbers() == [1]


async def test_by_policy_a_strange_record_is_passed_over(kafka, name, shelf_of):
    async with kafka.open(on_unreadable="older") as store:
        shelf = shelf_of(store, name)
        await shelf.save(1)
        kafka.produce(f"snapshot-{name}", b"x", b"what is this")
        assert await shelf.load() == (1, "s-1")
        await shelf.delete(1)
        with pytest.raises(SnapshotUnreadable):
            await shelf.load()


async def test_a_snapshot_of_another_id_is_foreign(kafka, name, shelf_of):
    """Records of another id in this id's topic are never taken for its own."""
    async with kafka.open() as store:
        shelf = shelf_of(store, name)
        await shelf.save(1)
        key = SaveKey(digest_of("somebody else"), LATER, 1, bytes(16)).commit()
        kafka.produce(f"snapshot-{name}", key, newest_commit(kafka, f"snapshot-{name}").value)
        with pytest.raises(ForeignEvent, match="another persistence id"):
            await shelf.load()
        with pytest.raises(ForeignEvent, match="nothing was stored"):
            await shelf.save(2)
        kafka.produce(f"snapshot-{name}", key, None)
        assert await shelf.load() == (1, "s-1")


async def test_another_id_under_our_key_is_unreadable(kafka, name, shelf_of):
    """The full id stands in every record, and is compared."""
    async with kafka.open() as store:
        await shelf_of(store, name + "-other").save(5)
        await shelf_of(store, name).save(1)
        other = newest_commit(kafka, f"snapshot-{name}-other")
        forged = SaveKey(digest_of(name), 5, 5, bytes(16)).commit()
        kafka.produce(f"snapshot-{name}", forged, other.value)
        with pytest.raises(SnapshotUnreadable):
            await shelf_of(store, name).load()


async def test_two_ids_of_one_seed_name_never_see_each_others_snapshots(kafka, name, shelf_of):
    """With the original's names `a/b` and `a_b` share a topic: the second one is refused, the first one is safe."""
    async with kafka.open(naming="seed", prefix=f"s-{name}-") as store:
        first, second = shelf_of(store, "a/b"), shelf_of(store, "a_b")
        await first.save(1)
        with pytest.raises(PersistenceIdCollision, match=r"the same topic as 'a_b'"):
            await second.save(2)
        with pytest.raises(ForeignEvent):
            await second.load()
        assert await first.load() == (1, "s-1")
        await first.delete_matching()
        await second.save(2)
        assert await second.load() == (2, "s-2")


@attrs.frozen
class Unknown:
    value: int


async def test_a_type_that_is_not_registered_is_unreadable(kafka, name, shelf_of):
    serializer = Serializer()
    serializer.register(Unknown)
    async with kafka.open(serializer=serializer) as store:
        await shelf_of(store, name).save(1, value=Unknown(1))
    async with kafka.open() as store:
        with pytest.raises(SnapshotUnreadable, match=r"'Unknown' version 1 is not registered"):
            await shelf_of(store, name).load()


async def test_a_snapshot_over_the_reader_limit_is_not_decoded(kafka, name, shelf_of):
    async with kafka.open() as store:
        await shelf_of(store, name).save(1, value=b"x" * 5000)
    async with kafka.open(max_snapshot_bytes=1000) as store:
        with pytest.raises(SnapshotUnreadable, match=r"has 50\d\d bytes; the limit is 1000"):
            await shelf_of(store, name).load()


async def test_a_damaged_chunk_is_noticed(kafka, name, shelf_of):
    async with kafka.open(chunk_bytes=1000) as store:
        shelf = shelf_of(store, name)
        await shelf.save(1, value=b"x" * 2500)
        topic = f"snapshot-{name}"
        [chunk] = [
            each
            for each in kafka.records(topic)
            if parse_key(each.key).kind is Kind.CHUNK and parse_key(each.key).index == 1
        ]
        kafka.produce(topic, chunk.key, None)
        commit = newest_commit(kafka, topic)
        assert await shelf.load() == (1, b"x" * 2500)  # it is still in the log, until compaction
        kafka.produce(topic, commit.key, commit.value[:-1] + b"\xff")
        with pytest.raises(SnapshotUnreadable, match="checksum differs"):
            await shelf.load()
