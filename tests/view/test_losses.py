"""Events that were deleted before the view saw them, and events that the journal lost."""

from __future__ import annotations

import pytest

from kafka_persist import EventsDeleted, JournalTruncated


async def persisted(persistence, entity, *events):
    async with entity(persistence) as account:
        await account.persist(*events)


async def test_opening_a_view_of_deleted_events_is_an_error(world, entity, view):
    async with world.open() as persistence:
        await persisted(persistence, entity, "a", "b", "c")
        await persistence.journal.delete_to("account", 2)
        with pytest.raises(EventsDeleted, match="events 1 to 2 were deleted, and the state is only that of event 0"):
            async with view(persistence):
                pass


async def test_a_deletion_behind_the_view_does_not_matter(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a", "b")
        await statement.update()
        await persistence.journal.delete_to("account", 2)
        await account.persist("c")
        assert await statement.update() == 1
        assert statement.state == ["a", "b", "c"]


async def test_a_deletion_ahead_of_the_view_is_an_error_and_the_view_stays_as_it_is(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a")
        await statement.update()
        await account.persist("b", "c", "d")
        await persistence.journal.delete_to("account", 3)
        for _ in range(2):
            with pytest.raises(EventsDeleted, match="events 2 to 3 were deleted"):
                await statement.update()
        assert (statement.state, statement.sequence_nr) == (["a"], 1)


async def test_a_deletion_of_everything_is_noticed(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a", "b")
        await persistence.journal.delete_to("account", 2)
        with pytest.raises(EventsDeleted, match="events 1 to 2 were deleted"):
            await statement.update()


async def test_a_view_may_go_on_with_what_is_left(world, entity, view):
    async with (
        world.open() as persistence,
        entity(persistence) as account,
        view(persistence, skip_deleted=True) as statement,
    ):
        await account.persist("a", "b", "c")
        await persistence.journal.delete_to("account", 2)
        assert await statement.update() == 1
        assert (statement.state, statement.sequence_nr) == (["c"], 3)


async def test_a_snapshot_that_covers_the_deletion_is_enough(world, entity, view):
    async with world.open() as persistence:
        await persisted(persistence, entity, "a", "b")
        async with view(persistence) as statement:
            await statement.save_snapshot()
        await persisted(persistence, entity, "c")
        await persistence.journal.delete_to("account", 2)
        async with view(persistence) as statement:
            assert statement.state == ["a", "b", "c"]


def lose_last(memory):
    log = memory.backend.logs["account"]
    del log.events[-1]
    log.highest -= 1


async def test_a_view_that_is_ahead_of_the_journal_says_so(memory, entity, view):
    async with memory.open() as persistence:
        await persisted(persistence, entity, "a", "b")
        async with view(persistence) as statement:
            lose_last(memory)
            with pytest.raises(JournalTruncated, match="end at 1, but the view 'statement' has read up to 2"):
                await statement.update()


async def test_a_view_whose_snapshot_is_ahead_of_the_journal_is_built_anew(memory, entity, view):
    async with memory.open() as persistence:
        await persisted(persistence, entity, "a", "b")
        async with view(persistence) as statement:
            await statement.save_snapshot()
        lose_last(memory)
        async with view(persistence) as statement:
            assert (statement.state, statement.sequence_nr) == (["a"], 1)
        await persisted(persistence, entity, "B", "C")
        async with view(persistence) as statement:
            assert statement.state == ["a", "B", "C"]
