"""The four outcomes of a write, on a real broker: stored, rejected, fenced, unknown."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import Rejection, SequenceNrConflict, WriteOutcomeUnknown, WriterFenced
from kafka_persist_testkit import TestServer


async def test_a_stored_write_is_in_every_later_replay(journal, writer, read_payloads):
    await journal.claim(writer.persistence_id, writer.uuid)
    assert list(await journal.write([writer.write(1, "a", "b"), writer.write(3, "c")])) == [None, None]
    assert await read_payloads(journal, writer.persistence_id) == ["a", "b", "c"]
    assert await read_payloads(journal, writer.persistence_id) == ["a", "b", "c"]


async def test_a_stored_write_survives_closing_the_journal(kafka, writer, read_payloads):
    async with kafka.open() as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "a")])
    async with kafka.open() as journal:
        assert await read_payloads(journal, writer.persistence_id) == ["a"]
        assert await journal.highest_sequence_nr(writer.persistence_id) == 1


async def test_an_unserializable_payload_is_rejected_and_the_others_are_stored(journal, writer, read_numbers):
    await journal.claim(writer.persistence_id, writer.uuid)
    first, second, third = await journal.write([writer.write(1, "a"), writer.write(2, object()), writer.write(3, "c")])
    assert (first, third) == (None, None)
    assert isinstance(second, Rejection)
    assert "object" in second.reason
    assert await read_numbers(journal, writer.persistence_id) == [1, 3]


async def test_an_event_over_the_limit_is_rejected_with_its_size(kafka, writer, read_numbers):
    async with kafka.open(max_event_bytes=1000) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        (rejection,) = await journal.write([writer.write(1, b"x" * 2000)])
        assert isinstance(rejection, Rejection)
        assert "20" in rejection.reason
        assert "1000" in rejection.reason
        assert list(await journal.write([writer.write(2, b"x" * 500)])) == [None]
        assert await read_numbers(journal, writer.persistence_id) == [2]


async def test_an_atomic_write_over_the_record_limit_is_rejected_whole(kafka, writer, read_numbers):
    async with kafka.open(max_record_bytes=20_000, max_event_bytes=10_000) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        (rejection,) = await journal.write([writer.write(1, *[b"x" * 5000] * 4)])
        assert isinstance(rejection, Rejection)
        assert await read_numbers(journal, writer.persistence_id) == []


async def test_what_the_topic_refuses_for_its_size_is_rejected_and_the_rest_is_stored(kafka, writer, read_numbers):
    kafka.create(writer.persistence_id, max_message_bytes="5000", retention_ms="-1")
    async with kafka.open() as journal, trio.open_nursery() as nursery:
        await journal.claim(writer.persistence_id, writer.uuid)
        results: dict[int, object] = {}

        async def write(number: int, size: int) -> None:
            (results[number],) = await journal.write([writer.write(number, b"x" * size)])

        for number, size in enumerate([100, 200, 20_000, 300], 1):
            nursery.start_soon(write, number, size)
            await trio.testing.wait_all_tasks_blocked()
    assert isinstance(results.pop(3), Rejection)
    assert results == {1: None, 2: None, 4: None}
    async with kafka.open() as journal:
        assert await read_numbers(journal, writer.persistence_id) == [1, 2, 4]


async def test_a_second_claim_fences_the_first_writer(kafka, journal, writer, writer_of, read_payloads):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, "old")])
    successor = writer_of(writer.persistence_id)
    async with kafka.open() as other:
        assert await other.claim(writer.persistence_id, successor.uuid) == 1
        await other.write([successor.write(2, "new")])
        with pytest.raises(WriterFenced, match="Certainly not stored") as caught:
            await journal.write([writer.write(2, "zombie")])
        assert isinstance(caught.value.results[0], WriterFenced)
        assert await read_payloads(other, writer.persistence_id) == ["old", "new"]


async def test_a_writer_without_a_claim_is_fenced(journal, writer, writer_of):
    with pytest.raises(WriterFenced):
        await journal.write([writer.write(1, "a")])
    await journal.claim(writer.persistence_id, writer.uuid)
    with pytest.raises(WriterFenced):
        await journal.write([writer_of(writer.persistence_id).write(1, "a")])


@pytest.mark.parametrize("first", [1, 2])
async def test_a_used_sequence_number_is_refused_and_nothing_of_the_call_is_stored(
    journal, writer, writer_of, read_numbers, first
):
    other = writer_of(writer.persistence_id + "-2")
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.claim(other.persistence_id, other.uuid)
    await journal.write([writer.write(1, "a", "b")])
    with pytest.raises(SequenceNrConflict, match="next one is 3"):
        await journal.write([other.write(1, "x"), writer.write(first, "again")])
    assert await read_numbers(journal, other.persistence_id) == []
    assert await read_numbers(journal, writer.persistence_id) == [1, 2]


async def test_an_unanswered_write_is_unknown_and_its_writer_finished_until_a_claim_decides(
    kafka_at, writer, writer_of, read_payloads
):
    with TestServer() as server:
        async with kafka_at(server).open(delivery_timeout=2.0) as journal:
            await journal.claim(writer.persistence_id, writer.uuid)
            await journal.write([writer.write(1, "a")])
            server.broker.pause()
            with pytest.raises(WriteOutcomeUnknown, match="may or may not"):
                await journal.write([writer.write(2, "b")])
            with pytest.raises(WriterFenced, match="finished"):
                await journal.write([writer.write(3, "c")])
            server.broker.resume()
            successor = writer_of(writer.persistence_id)
            highest = await journal.claim(writer.persistence_id, successor.uuid)
            await journal.write([successor.write(highest + 1, "d")])
            assert await read_payloads(journal, writer.persistence_id) == [*["a", "b"][:highest], "d"]
