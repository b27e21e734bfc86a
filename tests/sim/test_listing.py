"""The ids of a journal, found in its topics."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, StoreClosed
from kafka_persist.errors import ConnectError, CorruptRecord
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka


@asynccontextmanager
async def opened():
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_sim_broker())
        driver = await stack.enter_async_context(open_sim_kafka(broker, JournalConfig(recovery_stall_timeout=2.0)))
        yield broker, await stack.enter_async_context(open_journal_on(driver))


async def written(journal, persistence_id: str, events: int) -> None:
    writer = uuid.uuid4()
    await journal.claim(persistence_id, writer)
    for number in range(1, events + 1):
        event = PersistentRepr(persistence_id=persistence_id, sequence_nr=number, payload=number, writer=writer)
        await journal.write([AtomicWrite([event])])


async def listed(journal) -> list[str]:
    async with journal.persistence_ids() as ids:
        return sorted([each async for each in ids])


async def test_what_was_written_is_listed(autojump_clock):
    """Also where all was deleted, many claims came first, or a damaged record stands; not what was only opened."""
    async with opened() as (broker, journal):
        for name in ("one", "of / strange characters"):
            await written(journal, name, 1)
        await written(journal, "deleted", 3)
        await journal.delete_to("deleted", 3)
        await written(journal, "opened", 0)
        for _ in range(10):
            await written(journal, "opened often", 0)
            await written(journal, "opened often, then written", 0)
        await written(journal, "opened often, then written", 1)
        await written(journal, "damaged", 0)
        (topic,) = [name for name in broker.topics if name.startswith("damaged")]
        broker.log(topic).append(b"key", b"no record")
        broker.create_topic("of others").partitions[0].append(b"key", b"value")
        found = await listed(journal)
    assert found == ["damaged", "deleted", "of / strange characters", "one", "opened often, then written"]


async def test_a_list_that_fails_does_not_look_complete(autojump_clock):
    async with opened() as (broker, journal):
        for number in range(50):
            await written(journal, f"id-{number}", 1)
        broker.stop()
        with pytest.raises(ConnectError):
            await listed(journal)
        broker.start()
        assert len(await listed(journal)) == 50


async def test_a_topic_whose_id_is_unreadable_is_told_behind_all_others(autojump_clock):
    async with opened() as (broker, journal):
        for number in range(3):
            await written(journal, f"id-{number}", 1)
        log = broker.log("id-1")
        log.entries[0] = log.entries[0]._replace(value=log.entries[0].value[:-1])
        found = []
        with pytest.raises(CorruptRecord, match="id-1"):
            async with journal.persistence_ids() as ids:
                async for each in ids:
                    found.append(each)  # noqa: PERF401 - those before the error are wanted
        assert sorted(found) == ["id-0", "id-2"]


async def test_a_list_that_was_left_gives_nothing(autojump_clock):
    async with opened() as (_, journal):
        for number in range(50):
            await written(journal, f"id-{number}", 1)
        async with journal.persistence_ids() as ids:
            await ids.receive()
        with pytest.raises(StoreClosed):
            await ids.receive()
        assert len(await listed(journal)) == 50
