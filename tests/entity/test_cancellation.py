"""A cancellation at every step of every call: events are stored whole or not at all, and the state tells which."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from kafka_persist import Journal, open_persistence_on
from kafka_persist.memory import MemoryBackend, open_memory_journal, open_memory_snapshot_store

MOST_STEPS = 200


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before the n-th step of the task that made this."""

    def __init__(self, scope, step):
        self.scope, self.left = scope, step
        self.task = trio.lowlevel.current_task()

    def before_task_step(self, task):
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


async def cancelled_at(step, async_fn):
    """Run a call, cancelled at one of its steps; whether it has fewer steps than that, and whether it was cancelled."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            await async_fn()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return instrument.left > 0, scope.cancelled_caught


async def stepped(open_entity, call, check):
    """Cancel a call at step 1, 2, 3, ... of itself, each time on an entity of its own, until it runs to its end."""
    outcomes = set()
    for step in range(1, MOST_STEPS):
        async with open_entity() as (persistence, account):
            too_late, cancelled = await cancelled_at(step, lambda account=account: call(account))
            await check(persistence, account, cancelled)
            outcomes.add(cancelled)
        if too_late:
            return outcomes
    raise AssertionError("never came to its end")


class SlowJournal(Journal):
    """Takes several steps for each call, also behind the point where a write can be withdrawn."""

    def __init__(self, inner):
        self.inner = inner
        self.replay, self.delete_to = inner.replay, inner.delete_to
        self.highest_sequence_nr = inner.highest_sequence_nr

    capabilities = property(lambda self: self.inner.capabilities)
    replay = delete_to = highest_sequence_nr = None

    async def claim(self, persistence_id, writer):
        await steps()
        return await self.inner.claim(persistence_id, writer)

    async def write(self, writes):
        await steps()
        with trio.CancelScope(shield=True):
            results = await self.inner.write(writes)
            await steps()
        return results


async def until_locked(account):
    """Run until a call is under way, without letting it come to its end."""
    for _ in range(MOST_STEPS):
        if account._lock.locked():
            return
        await trio.lowlevel.checkpoint()
    raise AssertionError("nothing began")


async def steps():
    for _ in range(3):
        await trio.lowlevel.checkpoint()


@pytest.fixture
def open_entity(entity):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def open_one():
        async with AsyncExitStack() as stack:
            backend = MemoryBackend()
            journal = SlowJournal(await stack.enter_async_context(open_memory_journal(backend)))
            store = await stack.enter_async_context(open_memory_snapshot_store(backend))
            persistence = await stack.enter_async_context(open_persistence_on(journal, store))
            yield persistence, await stack.enter_async_context(entity(persistence, snapshot_every=3))

    return open_one


@pytest.fixture
def check(stored):
    """What holds whatever happened: the journal has exactly what the state says, and the entity can go on."""

    async def agree(persistence, account, cancelled):
        assert [payload for _, payload in await stored(persistence)] == account.state
        assert account.state in ([], ["a", "b", "c"])
        if cancelled:
            assert account.state == []
        await account.persist("z")
        assert (await stored(persistence))[-1] == (account.sequence_nr, "z")
        assert account.sequence_nr == len(account.state)

    return agree


async def test_a_cancelled_persist_stored_nothing_and_one_that_returns_stored_all(open_entity, check):
    assert await stepped(open_entity, lambda account: account.persist("a", "b", "c"), check) == {True, False}


async def test_a_cancelled_command_stored_nothing_and_one_that_returns_stored_all(open_entity, check):
    decide = ["a", "b", "c"].copy
    assert await stepped(open_entity, lambda account: account.execute(lambda _: decide()), check) == {True, False}


async def test_a_cancelled_call_that_waits_for_another_stored_nothing(open_entity, stored):
    for step in range(1, MOST_STEPS):
        async with open_entity() as (persistence, account), trio.open_nursery() as nursery:
            nursery.start_soon(account.persist, "first")
            await until_locked(account)
            too_late, cancelled = await cancelled_at(step, lambda account=account: account.persist("second"))
            expected = ["first"] if cancelled else ["first", "second"]
            await account.persist("z")
            assert account.state == [*expected, "z"]
            assert [payload for _, payload in await stored(persistence)] == account.state
        if too_late:
            return
    raise AssertionError("never came to its end")


async def test_a_cancelled_snapshot_leaves_no_trace_in_the_entity(open_entity):
    async def check(persistence, account, cancelled):
        assert account.snapshot_sequence_nr == (None if cancelled else 0)
        await account.persist("z")

    assert await stepped(open_entity, lambda account: account.save_snapshot(), check) == {True, False}


async def test_an_opening_that_is_cancelled_at_any_step_leaves_the_id_free(open_entity, entity):
    async with open_entity() as (persistence, _):
        for step in range(1, MOST_STEPS):

            async def open_and_close(name=f"other-{step}"):
                async with entity(persistence, name) as other:
                    await other.persist("a")

            too_late, _ = await cancelled_at(step, open_and_close)
            async with entity(persistence, f"other-{step}") as again:
                await again.persist("b")
            assert "1 entities and views, 0 recovering, 0 waiting" in repr(persistence)
            if too_late:
                return
    raise AssertionError("never came to its end")
