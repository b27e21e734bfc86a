"""Reading: windows, bookmarks, crowds, and a broker that dies in the middle."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import JournalTruncated
from kafka_persist_testkit import TestServer


async def test_a_bookmark_lets_the_next_recovery_begin_behind_it(kafka, writer, writer_of, read_numbers):
    async with kafka.open() as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "a", "b", "c")])
        bookmark = journal.bookmark(writer.persistence_id)
        await journal.write([writer.write(4, "d")])
    successor = writer_of(writer.persistence_id)
    async with kafka.open() as journal:
        journal.resume_from(writer.persistence_id, bookmark)
        assert await journal.claim(writer.persistence_id, successor.uuid) == 4
        assert await read_numbers(journal, writer.persistence_id, from_sequence_nr=4) == [4]
        assert await read_numbers(journal, writer.persistence_id) == [1, 2, 3, 4]


async def test_a_bookmark_that_the_log_contradicts_is_a_truncation(kafka, writer, writer_of):
    async with kafka.open() as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "a")])
        bookmark = journal.bookmark(writer.persistence_id)
    kafka.recreate(writer.persistence_id, retention_ms="-1")
    async with kafka.open() as journal:
        journal.resume_from(writer.persistence_id, bookmark)
        with pytest.raises(JournalTruncated, match="snapshot"):
            await journal.claim(writer.persistence_id, writer_of(writer.persistence_id).uuid)


async def test_many_ids_recover_at_once(kafka, writer_of, kafka_prefix, read_numbers):
    writers = [writer_of(f"{kafka_prefix}{number}") for number in range(40)]
    async with kafka.open() as journal:
        await journal.prepare(each.persistence_id for each in writers)
        async with trio.open_nursery() as nursery:
            for each in writers:
                nursery.start_soon(journal.claim, each.persistence_id, each.uuid)
        for each in writers:
            await journal.write([each.write(1, "a", "b")])
    found: dict[str, list[int]] = {}

    async def recover(journal, name: str) -> None:
        found[name] = await read_numbers(journal, name)

    async with kafka.open() as journal, trio.open_nursery() as nursery:
        for each in writers:
            nursery.start_soon(recover, journal, each.persistence_id)
    assert found == {each.persistence_id: [1, 2] for each in writers}


async def test_a_replay_larger_than_its_batches_is_complete_and_in_order(kafka, writer, read_numbers):
    async with kafka.open(replay_batch_bytes=2048) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        for first in range(1, 1000, 10):
            await journal.write([writer.write(first, *["x" * 50] * 10)])
        assert await read_numbers(journal, writer.persistence_id) == list(range(1, 1001))
        assert await read_numbers(journal, writer.persistence_id, from_sequence_nr=500, max_events=7) == list(
            range(500, 507)
        )


async def test_killing_the_broker_while_writing_loses_nothing_acknowledged(kafka_at, writer, read_numbers):
    acknowledged = []
    with TestServer() as server:
        async with kafka_at(server).open(delivery_timeout=60.0) as journal:
            await journal.claim(writer.persistence_id, writer.uuid)
            half = trio.Event()

            async def write() -> None:
                for number in range(1, 401):
                    await journal.write([writer.write(number, "x" * 100)])
                    acknowledged.append(number)
                    if number == 200:
                        half.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await half.wait()
                await trio.to_thread.run_sync(server.broker.kill)
                await trio.to_thread.run_sync(server.broker.start)
        async with kafka_at(server).open() as journal:
            assert await read_numbers(journal, writer.persistence_id) == acknowledged == list(range(1, 401))


async def test_reading_a_long_log_lets_other_tasks_run(kafka, writer):
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with kafka.open() as journal, trio.open_nursery() as nursery:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, *range(1000))])
        nursery.start_soon(other)
        async with journal.replay(writer.persistence_id) as events:
            await events.receive()
            before = turns
            seen = [event async for event in events]
        nursery.cancel_scope.cancel(reason="the test ends")
    assert len(seen) == 999
    assert turns - before >= 999 // 65
