"""Deletions on a real broker: they hold forever, hide nothing that comes later, and really free the log."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition

from kafka_persist import MAX_SEQUENCE_NR


def log_start(kafka, topic: str) -> int:
    with Consumer({"bootstrap.servers": kafka.servers, "group.id": "raw"}) as client:
        return client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[0]


async def test_deleted_events_stay_deleted_after_a_restart(kafka, writer, read_numbers):
    async with kafka.open() as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(number, number) for number in range(1, 6)])
        await journal.delete_to(writer.persistence_id, 3)
    async with kafka.open() as journal:
        assert await read_numbers(journal, writer.persistence_id) == [4, 5]
        assert await journal.highest_sequence_nr(writer.persistence_id) == 5


async def test_the_highest_sequence_number_survives_deleting_everything(kafka, writer, read_numbers):
    async with kafka.open() as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "a", "b", "c")])
        await journal.delete_to(writer.persistence_id, MAX_SEQUENCE_NR)
    async with kafka.open() as journal:
        assert await read_numbers(journal, writer.persistence_id) == []
        assert await journal.claim(writer.persistence_id, writer.uuid) == 3
        await journal.write([writer.write(4, "d")])
        assert await read_numbers(journal, writer.persistence_id) == [4]


async def test_the_log_is_cut_to_the_record_that_is_kept(kafka, journal, writer):
    await journal.claim(writer.persistence_id, writer.uuid)
    for number in range(1, 6):
        await journal.write([writer.write(number, number)])
    await journal.delete_to(writer.persistence_id, 3)
    assert log_start(kafka, writer.persistence_id) == 4  # claim, 1, 2, 3 are gone; 4 stands at offset 4


async def test_a_deletion_inside_an_atomic_write_keeps_its_rest(journal, writer, read_numbers):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, *"abcde")])
    await journal.delete_to(writer.persistence_id, 2)
    assert await read_numbers(journal, writer.persistence_id) == [3, 4, 5]


async def test_a_deletion_by_another_process_does_not_fence_the_writer(kafka, journal, writer, read_numbers):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, "a", "b")])
    async with kafka.open() as other:
        await other.delete_to(writer.persistence_id, 1)
    assert list(await journal.write([writer.write(3, "c")])) == [None]
    assert await read_numbers(journal, writer.persistence_id) == [2, 3]


async def test_a_writer_goes_on_after_another_process_cut_the_log_behind_its_back(kafka, journal, writer, read_numbers):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, "a", "b")])
    async with kafka.open() as other:
        await other.delete_to(writer.persistence_id, MAX_SEQUENCE_NR)
        await other.delete_to(writer.persistence_id, MAX_SEQUENCE_NR)
    assert list(await journal.write([writer.write(3, "c")])) == [None]
    assert await read_numbers(journal, writer.persistence_id) == [3]


async def test_what_another_process_left_is_read_from_its_first_record_on(kafka, journal, writer, read_numbers):
    """It wrote more, and cut the log beyond what had been read here: the place to read on is gone."""
    pid = writer.persistence_id
    await journal.claim(pid, writer.uuid)
    await journal.write([writer.write(1, "a")])
    writer.uuid = uuid.uuid4()
    async with kafka.open() as other:
        await other.claim(pid, writer.uuid)
        for number in range(2, 9):
            await other.write([writer.write(number, number)])
        await other.delete_to(pid, 5)
    assert log_start(kafka, pid) > 3
    assert await read_numbers(journal, pid) == [6, 7, 8]
    assert await journal.claim(pid, uuid.uuid4()) == 8


@pytest.mark.parametrize("to", [0, -5])
async def test_zero_and_negative_numbers_delete_nothing(journal, writer, read_numbers, to):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, "a")])
    await journal.delete_to(writer.persistence_id, to)
    assert await read_numbers(journal, writer.persistence_id) == [1]


async def test_deleting_from_an_unknown_id_creates_no_topic(kafka, journal, writer):
    await journal.delete_to(writer.persistence_id, 5)
    assert writer.persistence_id not in kafka.admin.list_topics(timeout=10).topics


async def test_a_replay_that_meets_a_deletion_goes_on_behind_it(kafka, writer):
    async with kafka.open(replay_batch_bytes=1024) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        for first in range(1, 4001, 100):
            await journal.write([writer.write(first + place, "x" * 100) for place in range(100)])
        async with kafka.open(replay_batch_bytes=1024) as reader, reader.replay(writer.persistence_id) as events:
            seen = [(await events.receive()).sequence_nr]
            await journal.delete_to(writer.persistence_id, 3990)
            seen += [event.sequence_nr async for event in events]
    assert seen == sorted(set(seen))
    assert seen[-10:] == list(range(3991, 4001))
