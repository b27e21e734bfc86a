"""On a broker: an id with the name of a user-defined topic does not get a journal there, and loses nothing."""

from __future__ import annotations

import pytest

from kafka_persist import EventTopicMapper, PersistenceIdCollision, open_journal


class To(EventTopicMapper):
    """Publishes the events of all ids but one to the topic of that name."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def topics_for(self, event):
        return () if event.persistence_id == self.topic else (self.topic,)


async def test_an_id_with_the_name_of_a_topic_that_is_published_to_is_refused(kafka, writer, writer_of, kafka_prefix):
    topic = f"{kafka_prefix}orders"
    async with open_journal(kafka.config(), event_topic_mapper=To(topic)) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "placed")])
        with pytest.raises(PersistenceIdCollision, match="mapper names it"):
            await journal.claim(topic, writer_of(topic).uuid)
        await journal.write([writer.write(2, "sent")])


async def test_published_events_are_recognized_by_a_process_that_publishes_nothing(
    kafka, writer, writer_of, kafka_prefix
):
    topic = f"{kafka_prefix}orders"
    kafka.create(topic, retention_ms="-1")  # as the settings of a journal topic: they tell nothing
    async with open_journal(kafka.config(), event_topic_mapper=To(topic)) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "placed")])  # leaving the block waits for its publication
    with pytest.raises(PersistenceIdCollision, match="published events"):
        async with kafka.open() as journal:
            await journal.claim(topic, writer_of(topic).uuid)


async def test_a_mapper_that_names_a_journal_topic_publishes_nothing_there(kafka, writer, writer_of, read_payloads):
    """The other direction: the journal of the id stays as it is."""
    other = writer_of(f"{writer.persistence_id}-other")
    config = kafka.config(delivery_timeout=2.0)
    async with open_journal(config, event_topic_mapper=To(writer.persistence_id)) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(1, "mine")])
        await journal.claim(other.persistence_id, other.uuid)
        await journal.write([other.write(1, "other")])
    async with kafka.open() as journal:
        assert await read_payloads(journal, writer.persistence_id) == ["mine"]
        assert await read_payloads(journal, other.persistence_id) == ["other"]
