"""What a view sees, and when."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import EvolveFailed, StoreClosed


async def test_a_view_has_read_everything_when_it_opens(world, entity, view):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a", "b")
        async with view(persistence) as statement:
            assert (statement.state, statement.sequence_nr) == (["a", "b"], 2)


async def test_update_reads_what_is_new_and_says_how_much(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        assert await statement.update() == 0
        await account.persist("a", "b")
        await account.persist("c")
        assert statement.state == []
        assert await statement.update() == 3
        assert await statement.update() == 0
        assert (statement.state, statement.sequence_nr) == (["a", "b", "c"], 3)


async def test_a_view_in_another_process_sees_what_is_durable(world, entity, view):
    async with world.open() as here, world.open() as there, entity(here) as account, view(there) as statement:
        for number in range(5):
            await account.persist(number)
            assert await statement.update() == 1
        assert statement.state == account.state


async def test_wait_for_returns_when_the_event_is_there(world, entity, view, nursery):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        seen = []

        async def wait():
            seen.append(await statement.wait_for(2))

        await account.persist("a")
        async with trio.open_nursery() as waiting:
            waiting.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            await account.persist("b")
        assert seen == [["a", "b"]]


async def test_wait_for_what_is_there_already_returns_at_once(memory, entity, view):
    async with memory.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a")
        assert await statement.wait_for(1) == ["a"]
        assert await statement.wait_for(0) == ["a"]


async def test_the_caller_limits_how_long_it_waits(memory, entity, view, autojump_clock):
    async with memory.open() as persistence, entity(persistence), view(persistence) as statement:
        with pytest.raises(trio.TooSlowError), trio.fail_after(60):
            await statement.wait_for(1)
        assert statement.sequence_nr == 0


async def test_follow_keeps_the_view_up_to_date(world, entity, view):
    seen = {"a": trio.Event(), "b": trio.Event()}

    def evolve(state, event):
        seen[event].set()
        return [*state, event]

    async with (
        world.open() as persistence,
        entity(persistence) as account,
        view(persistence, evolve=evolve) as statement,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(statement.follow)
        for event, taken_in in seen.items():
            await account.persist(event)
            await taken_in.wait()
        nursery.cancel_scope.cancel()
    assert statement.state == ["a", "b"]


async def test_the_lag_is_what_is_stored_and_not_read_yet(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as follower:
        assert await follower.lag() == 0
        await account.persist("a", "b", "c")
        assert await follower.lag() == 3
        await follower.update()
        assert await follower.lag() == 0
    with pytest.raises(StoreClosed):
        await follower.lag()


async def test_a_view_takes_nothing_from_the_writer(world, entity, view):
    async with world.open() as here, world.open() as there, entity(here) as account:
        await account.persist("a")
        async with view(there) as statement:
            await statement.update()
            await account.persist("b")
        assert account.state == ["a", "b"]


async def test_a_view_of_an_id_that_nobody_writes_waits_for_the_first_event(world, entity, view):
    async with world.open() as persistence, view(persistence) as statement:
        assert (statement.state, await statement.update()) == ([], 0)
        async with entity(persistence) as account:
            await account.persist("a")
        assert await statement.wait_for(1) == ["a"]


async def test_the_hole_that_a_rejected_event_leaves_does_not_stop_a_view(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a")
        with pytest.raises(ValueError, match="object"):
            await account.persist(object())
        await account.persist("c")
        await statement.update()
        assert (statement.state, statement.sequence_nr) == (["a", "c"], 3)


async def test_several_tasks_may_update_one_view(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist(*range(50))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(statement.update)
        assert statement.state == list(range(50))


async def test_an_event_that_evolve_refuses_is_named_and_the_state_is_that_before_it(world, entity, view):
    def evolve(state, event):
        return state + 1 / event

    async with (
        world.open() as persistence,
        entity(persistence) as account,
        view(persistence, initial=0, evolve=evolve) as statement,
    ):
        await account.persist(1, 1, 0, 1)
        for _ in range(2):
            with pytest.raises(EvolveFailed, match="event 3"):
                await statement.update()
        assert (statement.state, statement.sequence_nr) == (2, 2)


async def test_a_closed_view_refuses_calls(memory, entity, view):
    async with memory.open() as persistence, entity(persistence) as account:
        async with view(persistence) as statement:
            await account.persist("a")
            await statement.update()
        for call in (statement.update, statement.save_snapshot, lambda: statement.wait_for(1), statement.follow):
            with pytest.raises(StoreClosed, match="'statement' is closed"):
                await call()
        assert statement.state == ["a"]


async def test_repr_shows_ids_life_number_and_state(memory, entity, view):
    async with memory.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        async with view(persistence) as statement:
            assert repr(statement) == "<View 'statement' of 'account' open at 1: ['a']>"
        assert repr(statement) == "<View 'statement' of 'account' closed at 1: ['a']>"
