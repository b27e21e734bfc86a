"""All of an entity is deleted: in memory, and in both layouts on simulated logs."""

from __future__ import annotations

import pytest

from kafka_persist import EventsDeleted, InvalidPersistenceId, WriteOutcomeUnknown, WriterFenced, remove_entity
from tests.support.browsing import LAYOUTS, Balance, Deposited, evolve, open_world

OPTIONS = {"initial": Balance(), "evolve": evolve}


@pytest.fixture(params=LAYOUTS)
async def world(request, autojump_clock):
    async with open_world(LAYOUTS[request.param]) as opened:
        yield opened


async def stored(persistence, name):
    async with persistence.journal.replay(name) as events:
        numbers = [event.sequence_nr async for event in events]
    return numbers, await persistence.snapshot_store.load(name)


async def test_nothing_is_left_and_nobody_goes_on(world):
    first, second = world.persistence(), world.persistence()
    async with first.entity("account-1", **OPTIONS) as account:
        await account.persist(Deposited(1), Deposited(2))
        await account.save_snapshot()
        await account.persist(Deposited(3))
        removed = await remove_entity(second.journal, second.snapshot_store, "account-1")
        assert removed == 3
        with pytest.raises((WriterFenced, WriteOutcomeUnknown)):
            await account.persist(Deposited(4))
    assert await stored(second, "account-1") == ([], None)
    assert await second.journal.highest_sequence_nr("account-1") == 3
    with pytest.raises(EventsDeleted):
        async with second.entity("account-1", **OPTIONS):
            pass


async def test_it_can_be_repeated_and_leaves_others_alone(world):
    persistence = world.persistence()
    for name in ("account-1", "account-2"):
        await world.deposit(persistence, name, Deposited(1))
    for _ in range(2):
        assert await remove_entity(persistence.journal, persistence.snapshot_store, "account-1") == 1
    numbers, _ = await stored(persistence, "account-2")
    assert numbers == [1]


async def test_an_id_may_begin_anew_with_higher_numbers(world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1))
    await remove_entity(persistence.journal, persistence.snapshot_store, "account-1")
    async with persistence.entity("account-1", skip_deleted=True, **OPTIONS) as account:
        assert (account.state, account.sequence_nr) == (Balance(), 1)
        await account.persist(Deposited(5))
        assert account.sequence_nr == 2


async def test_what_was_never_written_creates_nothing(world):
    persistence = world.persistence()
    assert await remove_entity(persistence.journal, persistence.snapshot_store, "nobody") == 0
    assert "nobody" not in str(list(world.broker.topics))
    with pytest.raises(InvalidPersistenceId):
        await remove_entity(persistence.journal, persistence.snapshot_store, "")


async def test_in_memory(memory_persistence):
    async with memory_persistence.entity("x", initial=0, evolve=lambda state, event: state + event) as entity:
        await entity.persist(1, 2)
        await entity.save_snapshot()
    assert await remove_entity(memory_persistence.journal, memory_persistence.snapshot_store, "x") == 2
    assert await stored(memory_persistence, "x") == ([], None)
