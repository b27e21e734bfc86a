"""Snapshots that a later release of the program cannot read, because the class of its state has changed."""

from __future__ import annotations

import logging

import attrs
import pytest

from kafka_persist import Serializer, SnapshotUnreadable, UsageError


@attrs.frozen
class Old:
    names: list[str]


@attrs.frozen
class New:
    names: list[str]
    count: int


def types(state):
    """A release of the program: its state is called "State" in what is stored."""
    serializer = Serializer()
    serializer.register(state, name="State")
    return serializer


def old_release(persistence, **options):
    return persistence.entity(
        "account", initial=Old([]), evolve=lambda state, event: Old([*state.names, event]), **options
    )


def new_release(persistence, **options):
    return persistence.entity(
        "account",
        initial=New([], 0),
        evolve=lambda state, event: New([*state.names, event], state.count + 1),
        **options,
    )


async def test_a_field_added_to_the_state_is_made_of_the_events_that_are_all_there(world, caplog):
    async with world.open(serializer=types(Old)) as persistence, old_release(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        await account.persist("c")
    async with world.open(serializer=types(New)) as persistence:
        with caplog.at_level(logging.WARNING, "kafka_persist.entity"):
            async with new_release(persistence, snapshot_every=1) as account:
                assert (account.state, account.snapshot_sequence_nr) == (New(["a", "b", "c"], 3), None)
                await account.persist("d")
        assert "the snapshot at 2 is not used" in caplog.text
        caplog.clear()
        async with new_release(persistence) as account:
            assert (account.state.count, account.snapshot_sequence_nr) == (4, 4)
        assert "not used" not in caplog.text


async def test_an_unreadable_snapshot_is_an_error_where_events_are_deleted_and_the_old_writer_keeps_the_id(world):
    async with world.open(serializer=types(Old)) as here, old_release(here) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        await account.delete_events_to(1)
        async with world.open(serializer=types(New)) as there:
            for _ in range(2):
                with pytest.raises(SnapshotUnreadable) as raised:
                    async with new_release(there, skip_deleted=True):
                        pass
                assert raised.value.metadata.sequence_nr == 2
        await account.persist("c")
        assert account.state.names == ["a", "b", "c"]


async def test_an_unreadable_snapshot_is_an_error_where_a_number_is_missing(world):
    """A rejected write leaves such a hole, but so do lost events whose snapshot was accepted: nobody can tell."""
    async with world.open(serializer=types(Old)) as persistence, old_release(persistence) as account:
        await account.persist("a")
        with pytest.raises(UsageError):
            await account.persist(object())
        await account.persist("c")
        await account.save_snapshot()
    async with world.open(serializer=types(New)) as persistence:
        with pytest.raises(SnapshotUnreadable):
            async with new_release(persistence):
                pass


@pytest.mark.parametrize("ignore_orphan", [True, False])
async def test_an_unreadable_orphan_is_passed_over_unless_the_policy_wants_its_state(memory, ignore_orphan):
    async with memory.open(serializer=types(Old)) as persistence, old_release(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
    log = memory.backend.logs["account"]
    del log.events[1:]
    log.highest = 1
    async with memory.open(serializer=types(New), ignore_orphan=ignore_orphan) as persistence:
        if not ignore_orphan:
            with pytest.raises(SnapshotUnreadable):
                async with new_release(persistence):
                    pass
            return
        async with new_release(persistence) as account:
            assert account.state == New(["a"], 1)
            await account.persist("B")
            assert await persistence.snapshot_store.load("account") is None
