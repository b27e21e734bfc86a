"""A view's snapshots: under its own id, nobody else's."""

from __future__ import annotations

import pytest

from kafka_persist import EntityAlreadyOpen, UsageError


def noting(calls):
    """An evolve function that notes which events it sees."""

    def evolve(state, event):
        calls.append(event)
        return [*state, event]

    return evolve


async def test_a_view_goes_on_behind_its_own_snapshot(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        async with view(persistence) as statement:
            assert (await statement.save_snapshot()).persistence_id == "statement"
        await account.persist("c")
    calls = []
    async with world.open() as persistence, view(persistence, evolve=noting(calls)) as statement:
        assert (statement.state, statement.snapshot_sequence_nr, calls) == (["a", "b", "c"], 2, ["c"])


async def test_a_view_saves_snapshots_every_so_many_events(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account:
        async with view(persistence, snapshot_every=3) as statement:
            for number in range(1, 5):
                await account.persist(number)
                await statement.update()
        assert statement.snapshot_sequence_nr == 3
        assert (await persistence.snapshot_store.load("statement")).metadata.sequence_nr == 3


async def test_snapshots_of_a_view_and_of_its_entity_do_not_meet(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        async with view(persistence, initial=0, evolve=lambda count, _: count + 1) as statement:
            assert (statement.state, statement.snapshot_sequence_nr) == (2, None)
            await statement.save_snapshot()
        assert (await persistence.snapshot_store.load("account")).snapshot == ["a", "b"]
        assert (await persistence.snapshot_store.load("statement")).snapshot == 2


async def test_a_view_id_is_not_the_persistence_id(memory, view):
    async with memory.open() as persistence:
        with pytest.raises(UsageError, match="must differ"):
            view(persistence, view_id="account")


async def test_a_view_id_is_open_once(memory, entity, view):
    async with memory.open() as persistence, entity(persistence), view(persistence):
        with pytest.raises(EntityAlreadyOpen, match="'statement'"):
            async with view(persistence):
                pass


async def test_a_view_id_is_not_that_of_an_open_entity(memory, entity, view):
    async with memory.open() as persistence, entity(persistence):
        with pytest.raises(EntityAlreadyOpen, match="'account'"):
            async with view(persistence, "other", view_id="account"):
                pass


async def test_one_entity_has_as_many_views_as_wanted(world, entity, view):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        async with view(persistence, view_id="one") as one, view(persistence, view_id="two") as two:
            assert one.state == two.state == ["a"]


async def test_snapshots_of_a_view_of_somebody_else_are_refused(world, entity, view):
    async with world.open() as persistence:
        async with view(persistence, "other") as statement:
            await statement.save_snapshot()
        with pytest.raises(UsageError, match="a view of 'other'"):
            async with view(persistence):
                pass


async def test_snapshots_of_an_entity_are_refused(world, entity, view):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a")
            await account.save_snapshot()
        with pytest.raises(UsageError, match="those of an entity"):
            async with view(persistence, "other", view_id="account"):
                pass


async def test_what_cannot_be_a_view_is_refused_before_anything_happens(memory, view):
    async with memory.open() as persistence:
        for options in ({"poll_every": 0}, {"poll_every": float("inf")}, {"snapshot_every": 0}, {"view_id": ""}):
            with pytest.raises(UsageError):
                view(persistence, **options)
