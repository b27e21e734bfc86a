"""Limits at 1, at 2 and just below the load, under concurrency: the answers stay right, only slower."""

from __future__ import annotations

import uuid

import pytest
import trio

from kafka_persist import JournalConfig, WriterFenced, open_journal

from .place import Entity, open_place, replayed

ENTITIES = 30
WRITES = 20


async def load(journal, others=()) -> list[Entity]:
    """Entities that write at the same time, and readers beside them."""
    entities = [Entity(journal, f"id-{number}") for number in range(ENTITIES)]

    async def live(entity):
        await entity.claim()
        for number in range(WRITES):
            assert await entity.write(f"{entity.persistence_id} {number}")

    async def look(entity):
        for _ in range(3):
            for each in (journal, *others):
                found = await replayed(each, entity.persistence_id)
                assert found == [f"{entity.persistence_id} {number}" for number in range(len(found))]
                assert await each.highest_sequence_nr(entity.persistence_id) >= len(found)

    async with trio.open_nursery() as nursery:
        for entity in entities:
            nursery.start_soon(live, entity)
            nursery.start_soon(look, entity)
    return entities


SMALL = [
    *({"max_cached_ids": limit} for limit in (1, 2, ENTITIES - 1)),
    *({"max_waiting_writes": limit} for limit in (1, 2, ENTITIES - 1)),
    *({"max_waiting_bytes": limit} for limit in (1, 2, 60, ENTITIES * 20)),
    *({"max_record_bytes": limit, "max_event_bytes": 40} for limit in (1024, 1100)),
    {"max_event_bytes": 24},
    {"replay_batch_bytes": 1024},
    {"max_cached_ids": 1, "max_waiting_writes": 1, "max_waiting_bytes": 1, "max_record_bytes": 1024},
]


@pytest.mark.parametrize("limits", SMALL, ids=str)
async def test_the_answers_stay_right(autojump_clock, limits):
    async with open_place() as place:
        other = await place.journal(**limits)
        journal = await place.journal(**limits, delivery_timeout=3600.0)
        entities = await load(journal, [other])
        for reader in (journal, other, await place.journal()):
            for entity in entities:
                assert len(entity.acknowledged) == WRITES
                assert await replayed(reader, entity.persistence_id) == entity.acknowledged


@pytest.mark.parametrize("limit", [1, 2, 4, ENTITIES - 1])
async def test_writes_to_more_open_ids_than_are_cached_read_nothing_again(autojump_clock, limit):
    """An id that was forgotten is known by its head."""
    async with open_place() as place:
        journal, driver = await place.counting(max_cached_ids=limit)
        entities = [Entity(journal, f"id-{number}") for number in range(ENTITIES)]
        for entity in entities:
            await entity.claim()
            for number in range(WRITES):
                await entity.write(number)
        before = driver.records_read
        for entity in entities:
            await entity.write("more")
            assert journal.deleted_to(entity.persistence_id) == 0
            assert journal.bookmark(entity.persistence_id) is not None
        assert driver.records_read == before
        assert f"{limit} ids known" in repr(journal)


async def test_whoever_is_forgotten_completely_is_read_again(autojump_clock, monkeypatch):
    """Heads have a bound, too; beyond it all is slower, and as right."""
    monkeypatch.setattr("kafka_persist._journal.registry.MIN_KEPT", 2)
    async with open_place() as place:
        entities = await load(await place.journal(max_cached_ids=1))
        for entity in entities:
            assert await replayed(await place.journal(), entity.persistence_id) == entity.acknowledged


async def test_a_finished_writer_stays_finished_when_its_log_was_forgotten(autojump_clock):
    """That the outcome of a write is unknown is remembered beside the head."""
    async with open_place() as place:
        journal = await place.journal(max_cached_ids=1, delivery_timeout=1.0)
        first, second = Entity(journal, "first"), Entity(journal, "second")
        await first.claim()
        await second.claim()
        place.broker.stop()
        with pytest.raises(Exception, match="may or may not"):
            await first.write("lost")
        place.broker.start()
        await second.write("other")
        with pytest.raises(WriterFenced, match="finished"):
            await first.write("more")


async def test_one_call_to_more_ids_than_are_cached_is_one_call(autojump_clock):
    """A call looks each log up once and holds it to its end."""
    async with open_place() as place:
        journal = await place.journal(max_cached_ids=1, max_waiting_writes=1)
        entities = [Entity(journal, f"id-{number}") for number in range(ENTITIES)]
        for entity in entities:
            await entity.claim()
        assert list(await journal.write([entity.atomic("a") for entity in entities])) == [None] * ENTITIES
        other = await place.journal(max_cached_ids=1)
        with pytest.raises(WriterFenced):
            await other.write(
                [Entity(other, entity.persistence_id, uuid.uuid4(), 1).atomic("b") for entity in entities]
            )
        for entity in entities:
            assert await replayed(other, entity.persistence_id) == ["a"]


@pytest.mark.broker
@pytest.mark.parametrize(
    "limits",
    [
        {"max_cached_ids": 1, "max_waiting_writes": 1},
        {"max_cached_ids": 2, "max_waiting_writes": 2, "max_waiting_bytes": 30},
        {"max_cached_ids": 11, "max_waiting_bytes": 1, "max_concurrent_recoveries": 1, "readers": 1},
    ],
    ids=str,
)
async def test_on_a_broker_the_answers_stay_right(kafka_server, kafka_prefix, limits):
    """The same with threads and a network: tasks that write, and readers of the same ids beside them."""
    config = JournalConfig(bootstrap_servers=kafka_server.bootstrap_servers, **limits)
    async with open_journal(config) as journal, open_journal(config) as other:
        entities = [Entity(journal, f"{kafka_prefix}{number}") for number in range(12)]
        await journal.prepare(entity.persistence_id for entity in entities)
        for entity in entities:  # one after the other: opening many at once is another test
            await entity.claim()

        async def live(entity):
            for number in range(10):
                assert await entity.write(f"{entity.persistence_id} {number}")

        async def look():
            for entity in entities:
                found = await replayed(other, entity.persistence_id)
                assert found == [f"{entity.persistence_id} {number}" for number in range(len(found))]

        async with trio.open_nursery() as nursery:
            for entity in entities:
                nursery.start_soon(live, entity)
            nursery.start_soon(look)
        for reader in (journal, other):
            for entity in entities:
                assert len(entity.acknowledged) == 10
                assert await replayed(reader, entity.persistence_id) == entity.acknowledged
