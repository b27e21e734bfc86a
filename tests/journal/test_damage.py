"""Damaged and foreign records: that id fails with topic, offset and reason, other ids go on, nothing is skipped."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition

from kafka_persist import (
    CorruptRecord,
    ForeignEvent,
    JournalHeadLost,
    JournalTruncated,
    StoredDataError,
    UnsupportedEnvelope,
)


@pytest.fixture
async def written(journal, writer):
    await journal.claim(writer.persistence_id, writer.uuid)
    await journal.write([writer.write(1, "a")])
    await journal.write([writer.write(2, "b")])
    return journal


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"\x85\x02\x44aaaarest", b"\xff" * 50])
async def test_a_record_that_is_none_fails_its_id_with_topic_and_offset(kafka, written, writer, value, read_numbers):
    offset = kafka.produce(writer.persistence_id, value)
    with pytest.raises(CorruptRecord, match=f"{offset}"):
        await read_numbers(written, writer.persistence_id)


async def test_other_ids_go_on(kafka, written, writer, writer_of, read_payloads):
    kafka.produce(writer.persistence_id, b"garbage")
    other = writer_of(writer.persistence_id + "-other")
    await written.claim(other.persistence_id, other.uuid)
    await written.write([other.write(1, "fine")])
    assert await read_payloads(written, other.persistence_id) == ["fine"]
    with pytest.raises(StoredDataError):
        await written.claim(writer.persistence_id, writer.uuid)


async def test_a_later_record_format_is_named_as_such(kafka, written, writer):
    kafka.produce(writer.persistence_id, b"\x85\x03\x44aaaarest")
    with pytest.raises(UnsupportedEnvelope, match="upgrade"):
        await written.highest_sequence_nr(writer.persistence_id)


async def test_a_record_of_another_id_is_foreign(kafka, written, writer, writer_of):
    from kafka_persist._core.chain import Chain, claim_envelope
    from kafka_persist._core.envelope import encode_envelope

    stranger = encode_envelope(claim_envelope(Chain("somebody else"), writer.uuid.bytes))
    kafka.produce(writer.persistence_id, stranger)
    with pytest.raises(ForeignEvent, match="somebody else"):
        await written.highest_sequence_nr(writer.persistence_id)


async def test_a_topic_recreated_empty_is_truncated_not_new(kafka, written, writer):
    kafka.recreate(writer.persistence_id)
    with pytest.raises(JournalTruncated, match="lost"):
        await written.highest_sequence_nr(writer.persistence_id)


async def test_a_log_cut_by_somebody_else_is_not_recovered_into_a_smaller_state(
    kafka, written, writer, writer_of, read_numbers
):
    async with kafka.open() as other:
        await other.claim(writer.persistence_id, writer_of(writer.persistence_id).uuid)
    for answer in kafka.admin.delete_records([TopicPartition(writer.persistence_id, 0, 2)]).values():
        answer.result()
    async with kafka.open() as fresh:
        with pytest.raises(JournalHeadLost, match="snapshot"):
            await read_numbers(fresh, writer.persistence_id)
        assert await read_numbers(fresh, writer.persistence_id, from_sequence_nr=2) == [2]


async def test_a_first_record_that_nothing_confirms_is_not_believed(kafka, written, writer, read_numbers):
    """Retention may leave nothing but a record that never counted."""
    for answer in kafka.admin.delete_records([TopicPartition(writer.persistence_id, 0, 2)]).values():
        answer.result()
    async with kafka.open() as fresh:
        with pytest.raises(JournalHeadLost, match="confirms"):
            await read_numbers(fresh, writer.persistence_id, from_sequence_nr=2)


async def test_a_log_emptied_by_somebody_else_has_no_head(kafka, written, writer):
    for answer in kafka.admin.delete_records([TopicPartition(writer.persistence_id, 0, -1)]).values():
        answer.result()
    async with kafka.open() as fresh:
        with pytest.raises(JournalHeadLost, match="empty"):
            await fresh.claim(writer.persistence_id, writer.uuid)
