"""On a broker of its own that compacts as eagerly as it can, is killed, and whose clients are killed."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import pytest
import trio

from kafka_persist._core.snapshot_format import Kind, parse_key
from kafka_persist.config import TopicsConfig

ROOT = Path(__file__).parents[2]
EAGER = TopicsConfig(
    settings={
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.0",
        "max.compaction.lag.ms": "100",
        "delete.retention.ms": "100",
    }
)


@pytest.fixture(scope="module")
def rough(kafka_server_factory, kafka_at):
    """A server whose log cleaner looks around ten times a second."""
    server = kafka_server_factory(properties={"log.cleaner.backoff.ms": "100"})
    kafka = kafka_at(server)
    kafka.server = server
    return kafka


def offsets(kafka, topic):
    return [record.offset for record in kafka.records(topic)]


async def compaction_of(kafka, shelf, *, below):
    """Save the next snapshots, which rolls segments, until nothing below an offset but the needed records is left.

    Returns the number of the last one; they begin at 101.
    """
    topic = f"snapshot-{shelf.persistence_id}"
    deadline = time.monotonic() + 60
    for number in itertools.count(101):
        await shelf.save(number, value=b"y" * 2500)
        if len([offset for offset in offsets(kafka, topic) if offset < below]) <= 4:
            return number
        assert time.monotonic() < deadline, kafka.records(topic)
        await trio.sleep(0.1)  # the cleaner has no event to wait for
    raise AssertionError


async def test_compaction_loses_nothing_and_brings_nothing_back(rough, name, shelf_of):
    """After the log was really compacted, tombstones included, exactly what was there before is there."""
    async with rough.open(topics=EAGER, keep=2, chunk_bytes=1000) as store:
        shelf, other = shelf_of(store, name), shelf_of(store, f"{name}-2")
        for each in (shelf, other):
            await each.save(1, 2, 3, value=b"x" * 2500)
            await each.save(2, value=b"z" * 2500)
            await each.delete(3)
        end = offsets(rough, f"snapshot-{name}")[-1]
        assert await shelf.numbers() == [2]
        last = await compaction_of(rough, shelf, below=end)
        assert await shelf.numbers() == sorted({2, *range(101, last + 1)}, reverse=True)[:2]
        assert await other.numbers() == [2]
        assert await other.load() == (2, b"z" * 2500)


async def test_the_latest_survives_any_compaction_unread(rough, name, shelf_of):
    """Nobody reads for a long time, everything old is compacted away: the snapshots that count are whole."""
    async with rough.open(topics=EAGER, keep=1, chunk_bytes=1000) as store:
        shelf = shelf_of(store, name)
        for number in range(1, 8):
            await shelf.save(number, value=bytes([number]) * 2500)
        end = offsets(rough, f"snapshot-{name}")[-1]
        await compaction_of(rough, shelf, below=end)
    async with rough.open() as store:
        number, value = await shelf_of(store, name).load()
        assert (number > 100, value) == (True, b"y" * 2500)
        last = {record.key: record.value for record in rough.records(f"snapshot-{name}")}
        kept = [parse_key(key).kind for key, value in last.items() if value is not None]
        assert sorted(kept) == sorted([Kind.CHUNK] * 3 + [Kind.COMMIT, Kind.INDEX])


DYING = """
import os, signal, sys, trio
from kafka_persist.config import SnapshotStoreConfig
from kafka_persist.model import SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store
from kafka_persist._kafka.driver import KafkaDriver

servers, name, kind, count = sys.argv[1:]
left, submit = int(count), KafkaDriver.submit

def submit_or_die(self, log, key, value, on_ack):
    global left
    if armed and chr(key[1]) == kind and value is not None:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    submit(self, log, key, value, on_ack)

KafkaDriver.submit = submit_or_die
armed = False

async def main():
    global armed
    async with open_snapshot_store(SnapshotStoreConfig(bootstrap_servers=servers, chunk_bytes=1000, keep=1)) as store:
        await store.save(SnapshotMetadata(persistence_id=name, sequence_nr=1), b"a" * 20_000)
        armed = True
        await store.save(SnapshotMetadata(persistence_id=name, sequence_nr=2), b"b" * 20_000)

trio.run(main)
"""


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [("c", 13, 1), ("s", 1, 1), ("i", 1, 2)],
    ids=["among the chunks", "before the commit", "before the index"],
)
async def test_a_process_killed_inside_a_save_leaves_the_old_or_the_new_snapshot(
    rough, name, shelf_of, kind, count, expected
):
    """SIGKILL in the middle of a chunked save: half of it is never loaded, and the next save just works."""
    program = [sys.executable, "-c", DYING, rough.servers, name, kind, str(count)]
    child = await trio.run_process(program, check=False, capture_stderr=True, cwd=ROOT)
    assert child.returncode == -9, child.stderr
    async with rough.open(keep=1) as store:
        shelf = shelf_of(store, name)
        number, value = await shelf.load()
        assert (number, value) == (expected, b" ab"[expected : expected + 1] * 20_000)
        await shelf.save(3)
        assert await shelf.numbers() == [3]


async def test_a_delete_that_races_saves_never_deletes_what_came_later(rough, name, shelf_of):
    """Two processes: one saves higher and higher numbers, the other deletes everything that it finds."""
    async with rough.open() as saving, rough.open() as deleting:
        shelf, other = shelf_of(saving, name), shelf_of(deleting, name)
        done = False

        async def delete():
            while not done:
                await other.delete_matching()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(delete)
            for number in range(1, 21):
                await shelf.save(number, value=b"x" * (2_000_000 if number % 5 == 0 else 10))
                found = await shelf.load()
                assert found is None or found[0] == number
            done = True
        await shelf.save(21)
        assert (await other.load())[0] == 21


async def test_several_processes_save_one_id(rough, name, shelf_of):
    """Concurrent saves of one id are all stored, and the newest are kept whole."""
    async with rough.open(keep=3) as first, rough.open(keep=3) as second, rough.open(keep=3) as third:
        async with trio.open_nursery() as nursery:
            for place, store in enumerate((first, second, third)):
                nursery.start_soon(shelf_of(store, name).save, *range(place, 30, 3))
        await shelf_of(first, name).save(30, value=b"x" * 2_000_000)
        assert await shelf_of(second, name).numbers() == [30, 29, 28]


async def test_a_broker_that_is_killed_loses_no_snapshot(rough, name, shelf_of):
    """Saves wait for the broker to come back; what was saved is there."""
    async with rough.open() as store:
        shelf = shelf_of(store, name)
        await shelf.save(1, value=b"a" * 2_000_000)
        rough.server.broker.kill()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shelf.save, 2)
            await trio.to_thread.run_sync(rough.server.broker.start)
        assert await shelf.numbers() == [2, 1]
    async with rough.open() as store:
        assert await shelf_of(store, name).load(max_sequence_nr=1) == (1, b"a" * 2_000_000)
