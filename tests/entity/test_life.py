"""Opening and closing: names, errors that pass through bare, what is refused, what an idle entity costs."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack

import pytest
import trio

from kafka_persist import EntityAlreadyOpen, InvalidPersistenceId, StoreClosed, UsageError, WriteOutcomeUnknown

IDLE_BYTES = 10 * 1024


async def test_one_id_is_open_once(memory, entity):
    async with memory.open() as persistence, entity(persistence):
        with pytest.raises(EntityAlreadyOpen, match="'account'"):
            async with entity(persistence):
                pass


async def test_an_id_is_taken_from_the_beginning_of_its_recovery(memory, entity, nursery):
    async with memory.open() as persistence:
        gate = trio.Event()
        persistence.journal.before_claim.steps = [gate]
        opened = trio.Event()

        async def open_slowly():
            async with entity(persistence):
                opened.set()

        nursery.start_soon(open_slowly)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(EntityAlreadyOpen):
            async with entity(persistence):
                pass
        gate.set()
        await opened.wait()


async def test_an_id_is_free_again_after_its_block(memory, entity):
    async with memory.open() as persistence:
        for _ in range(2):
            async with entity(persistence):
                pass


async def test_an_id_is_free_again_after_an_error_in_its_block(memory, entity):
    async with memory.open() as persistence:
        with pytest.raises(LookupError):
            async with entity(persistence):
                raise LookupError
        async with entity(persistence) as account:
            await account.persist("a")


async def test_an_id_is_free_again_after_a_recovery_that_failed(memory, entity):
    async with memory.open() as persistence:
        persistence.journal.before_claim.steps = [WriteOutcomeUnknown("no answer")]
        with pytest.raises(WriteOutcomeUnknown):
            async with entity(persistence):
                pass
        async with entity(persistence) as account:
            await account.persist("a")


async def test_an_id_is_free_again_after_a_recovery_that_was_cancelled(memory, entity):
    async with memory.open() as persistence:
        persistence.journal.before_claim.steps = [trio.Event()]

        async def open_for_ever():
            async with entity(persistence):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_for_ever)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with entity(persistence) as account:
            await account.persist("a")


async def test_the_users_error_passes_through_bare(world, entity):
    with pytest.raises(LookupError, match="mine"):
        async with world.open() as persistence, entity(persistence):
            raise LookupError("mine")


async def test_a_closed_entity_refuses_calls(world, entity):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a")
        for call in (account.persist, account.save_snapshot, lambda: account.delete_events_to(0)):
            with pytest.raises(StoreClosed, match="'account' is closed"):
                await call()
        assert (account.state, account.sequence_nr) == (["a"], 1)


async def test_a_call_that_waits_when_the_entity_closes_is_refused(memory, entity, nursery):
    refused = []

    async def persist_late(account):
        with pytest.raises(StoreClosed):
            await account.persist("late")
        refused.append("late")

    async with memory.open() as persistence:
        async with entity(persistence) as account:
            gate = trio.Event()
            persistence.journal.before_write.steps = [gate]
            nursery.start_soon(account.persist, "a")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(persist_late, account)
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (account.state, refused) == (["a"], ["late"])


async def test_a_closed_persistence_refuses_calls(memory, entity):
    async with AsyncExitStack() as stack:
        async with memory.open() as persistence:
            account = await stack.enter_async_context(entity(persistence))
        with pytest.raises(StoreClosed, match="persistence is closed"):
            await account.persist("a")
        with pytest.raises(StoreClosed, match="persistence is closed"):
            await stack.enter_async_context(entity(persistence, "other"))


async def test_repr_shows_id_life_number_and_state(memory, entity):
    async with memory.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a")
            assert repr(account) == "<Entity 'account' open at 1: ['a']>"
            assert repr(persistence) == "<Persistence open, 1 entities and views, 0 recovering, 0 waiting>"
        assert repr(account) == "<Entity 'account' closed at 1: ['a']>"
    assert repr(persistence).startswith("<Persistence closed, 0 ")


async def test_what_cannot_be_an_entity_is_refused_before_anything_happens(memory, entity):
    async def evolve(state, event):
        await trio.lowlevel.checkpoint()
        return state

    async with memory.open() as persistence:
        with pytest.raises(InvalidPersistenceId):
            entity(persistence, "")
        with pytest.raises(UsageError, match="plain function"):
            entity(persistence, evolve=evolve)
        with pytest.raises(UsageError, match="plain function"):
            entity(persistence, evolve=None)
        with pytest.raises(UsageError, match="snapshot_every"):
            entity(persistence, snapshot_every=0)


@pytest.mark.slow
async def test_an_idle_entity_needs_at_most_10_kib(world, entity):
    count = 1000 if hasattr(world, "backend") else 100
    async with world.open() as persistence, AsyncExitStack() as stack:

        async def open_some(kind):
            for number in range(count):
                account = await stack.enter_async_context(
                    entity(persistence, f"{kind}-{number}", initial=0, evolve=max, snapshot_every=100)
                )
                await account.persist(number)

        await open_some("warm")
        gc.collect()
        tracemalloc.start()
        try:
            await open_some("idle")
            gc.collect()
            # What no line of Python has asked for is not an entity's: tables of the interpreter grow in steps of a megabyte.
            lines = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "<unknown>")])
            used = sum(line.size for line in lines.statistics("lineno"))
        finally:
            tracemalloc.stop()
    assert used / count < IDLE_BYTES, f"{used / count:.0f} bytes for each entity"
