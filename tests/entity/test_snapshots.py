"""Snapshots of entities: when they are saved, what they hold, and that their failure harms nobody."""

from __future__ import annotations

import logging

import pytest
import trio

from kafka_persist import ConnectError, EventRejected, SelectionCriteria, UsageError


async def numbers(persistence):
    """The numbers of all snapshots of the account, newest first."""
    found, limit = [], 1000
    while limit >= 0:
        snapshot = await persistence.snapshot_store.load("account", SelectionCriteria(max_sequence_nr=limit))
        if snapshot is None:
            break
        found.append(snapshot.metadata.sequence_nr)
        limit = found[-1] - 1
    return found


async def test_a_snapshot_is_saved_every_so_many_events(world, entity):
    async with world.open() as persistence:
        async with entity(persistence, snapshot_every=3) as account:
            for number in range(1, 8):
                await account.persist(number)
                await account.wait_snapshot_saved()
            assert (account.snapshot_sequence_nr, account.last_snapshot_error) == (6, None)
        assert await numbers(persistence) == [6, 3]


async def test_counting_goes_on_behind_the_snapshot_of_the_recovery(memory, entity):
    async with memory.open() as persistence:
        for _ in range(4):
            async with entity(persistence, snapshot_every=3) as account:
                await account.persist("a", "b")
        assert await numbers(persistence) == [8, 4]


async def test_leaving_the_block_waits_for_the_snapshot_under_way(world, entity):
    async with world.open() as persistence:
        async with entity(persistence, snapshot_every=1) as account:
            await account.persist("a")
        assert (await persistence.snapshot_store.load("account")).snapshot == ["a"]


async def test_persist_does_not_wait_for_the_snapshot(memory, entity):
    async with memory.open() as persistence, entity(persistence, snapshot_every=1) as account:
        gate = trio.Event()
        persistence.snapshot_store.before_save.steps = [gate]
        await account.persist("a")
        await account.persist("b")
        assert account.state == ["a", "b"]
        gate.set()


async def test_at_most_one_snapshot_is_saved_at_a_time(memory, entity):
    async with memory.open() as persistence, entity(persistence, snapshot_every=1) as account:
        gate = trio.Event()
        persistence.snapshot_store.before_save.steps = [gate]
        for number in range(5):
            await account.persist(number)
            await trio.testing.wait_all_tasks_blocked()
        assert persistence.snapshot_store.before_save.calls == 1
        gate.set()
        await account.wait_snapshot_saved()
        await account.persist("x")
        await account.wait_snapshot_saved()
        assert await numbers(persistence) == [6, 1]


async def test_a_snapshot_holds_the_state_of_its_number(memory, entity):
    async with memory.open() as persistence, entity(persistence, snapshot_every=2) as account:
        gate = trio.Event()
        persistence.snapshot_store.before_save.steps = [gate]
        await account.persist("a", "b")
        await account.persist("c")
        gate.set()
        await account.wait_snapshot_saved()
        snapshot = await persistence.snapshot_store.load("account")
        assert (snapshot.metadata.sequence_nr, snapshot.snapshot) == (2, ["a", "b"])


async def test_a_snapshot_that_fails_harms_neither_events_nor_entity(memory, entity, caplog):
    async with memory.open() as persistence, entity(persistence, snapshot_every=2) as account:
        persistence.snapshot_store.before_save.steps = [ConnectError("nobody there")]
        with caplog.at_level(logging.WARNING, "kafka_persist"):
            await account.persist("a", "b")
            await account.wait_snapshot_saved()
        assert "snapshot at 2 was not saved: nobody there" in caplog.text
        assert isinstance(account.last_snapshot_error, ConnectError)
        await account.persist("c")
        assert persistence.snapshot_store.before_save.calls == 1
        await account.persist("d")
        await account.wait_snapshot_saved()
        assert (account.last_snapshot_error, await numbers(persistence)) == (None, [4])


async def test_a_state_that_cannot_be_stored_fails_its_snapshot_alone(world, entity, caplog):
    async with (
        world.open() as persistence,
        entity(persistence, initial=object(), evolve=lambda state, _: state, snapshot_every=1) as account,
    ):
        await account.persist("a")
        await account.wait_snapshot_saved()
        assert "object" in str(account.last_snapshot_error)
        with pytest.raises(UsageError, match="object"):
            await account.save_snapshot()


async def test_a_snapshot_by_hand_can_be_taken_at_any_time(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        assert (await account.save_snapshot()).sequence_nr == 0
        await account.persist("a")
        saved = await account.save_snapshot()
        assert (saved.sequence_nr, account.snapshot_sequence_nr) == (1, 1)
        assert saved.timestamp > 0


async def test_a_snapshot_by_hand_waits_for_the_write_under_way(memory, entity, nursery):
    async with memory.open() as persistence, entity(persistence) as account:
        gate = trio.Event()
        persistence.journal.after_write.steps = [gate]
        nursery.start_soon(account.persist, "a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(account.save_snapshot)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert account.snapshot_sequence_nr == 1


async def test_a_snapshot_behind_a_rejected_event_is_no_orphan(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        with pytest.raises(EventRejected):
            await account.persist(object())
        assert (await account.save_snapshot()).sequence_nr == 1
    async with world.open() as persistence, entity(persistence) as account:
        assert (account.state, account.snapshot_sequence_nr) == (["a"], 1)


async def test_only_events_that_a_snapshot_covers_can_be_deleted(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b", "c")
        with pytest.raises(UsageError, match="covers only those up to 0"):
            await account.delete_events_to(2)
        await account.save_snapshot()
        await account.delete_events_to(2)
        assert await stored(persistence) == [(3, "c")]
        await account.persist("d")
        assert account.sequence_nr == 4
