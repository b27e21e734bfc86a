"""What a recovery makes of snapshots, events, deletions and losses."""

from __future__ import annotations

import logging
import uuid

import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    ConnectError,
    EventsDeleted,
    EvolveFailed,
    PersistentRepr,
    SelectionCriteria,
    SnapshotMetadata,
    SnapshotUnreadable,
    UsageError,
    WriterFenced,
)


def replayed(calls):
    """An evolve function that notes which events it sees."""

    def evolve(state, event):
        calls.append(event)
        return [*state, event]

    return evolve


async def test_recovery_takes_the_snapshot_and_only_the_events_behind_it(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        await account.persist("c", "d")
    calls = []
    async with world.open() as persistence, entity(persistence, evolve=replayed(calls)) as account:
        assert (account.state, account.sequence_nr) == (["a", "b", "c", "d"], 4)
        assert (account.snapshot_sequence_nr, calls) == (2, ["c", "d"])


async def test_a_snapshot_of_the_last_event_needs_no_event(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
    calls = []
    async with world.open() as persistence, entity(persistence, evolve=replayed(calls)) as account:
        await account.persist("c")
        assert (account.state, account.sequence_nr, calls) == (["a", "b", "c"], 3, ["c"])


async def test_numbers_go_on_behind_a_rejected_event(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        with pytest.raises(UsageError):
            await account.persist(object())
        await account.persist("c")
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("d")
        assert await stored(persistence) == [(1, "a"), (3, "c"), (4, "d")]


async def test_numbers_are_not_used_again_after_everything_was_deleted(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        await account.delete_events_to(2)
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("c")
        assert account.state == ["a", "b", "c"]
        assert await stored(persistence) == [(3, "c")]


async def test_deleted_events_that_no_snapshot_covers_are_an_error(world, entity):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a", "b", "c")
        await persistence.journal.delete_to("account", 2)
        with pytest.raises(EventsDeleted, match="events 1 to 2 were deleted"):
            async with entity(persistence):
                pass
        async with entity(persistence, skip_deleted=True) as account:
            assert (account.state, account.sequence_nr) == (["c"], 3)


async def test_an_entity_whose_events_are_all_deleted_does_not_begin_anew(world, entity):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a", "b")
        await persistence.journal.delete_to("account", 2)
        with pytest.raises(EventsDeleted, match="events 1 to 2 were deleted"):
            async with entity(persistence):
                pass
        async with entity(persistence, skip_deleted=True) as account:
            assert (account.state, account.sequence_nr) == ([], 2)


async def test_a_hole_that_a_rejected_event_left_is_not_a_deletion(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        with pytest.raises(UsageError):
            await account.persist(object())
        await account.persist("b")
    async with world.open() as persistence, entity(persistence) as account:
        assert (account.state, account.sequence_nr) == (["b"], 2)


async def test_an_evolve_that_refuses_a_stored_event_fails_the_recovery(world, entity):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist(1, 0)
        with pytest.raises(EvolveFailed, match="event 2, a int"):
            async with entity(persistence, initial=1, evolve=lambda state, event: state / event):
                pass


async def test_an_unreadable_snapshot_is_never_taken_for_none(memory, entity):
    async with memory.open() as persistence:
        persistence.snapshot_store.before_load.steps = [SnapshotUnreadable("damaged")]
        with pytest.raises(SnapshotUnreadable):
            async with entity(persistence):
                pass
        assert persistence.journal.before_claim.calls == 0


async def test_an_evolve_that_falls_through_is_refused_before_the_event_is_stored(world, entity, stored):
    def evolve(state, event):
        if event == "known":
            return [*state, event]
        return None  # what a match without the event's case does

    async with world.open() as persistence, entity(persistence, evolve=evolve) as account:
        await account.persist("known")
        with pytest.raises(EvolveFailed, match=r"returned None for event 2, a str: .*allow_none_state=True"):
            await account.persist("unknown")
        assert (account.state, await stored(persistence)) == (["known"], [(1, "known")])
        await account.persist("known")
        assert account.sequence_nr == 2


async def test_none_is_a_state_on_request(world, entity):
    def evolve(_state, event):
        return None if event == "closed" else event

    async with world.open() as persistence:
        async with entity(persistence, initial=None, evolve=evolve) as account:
            await account.persist("closed")  # None stays None: nothing was forgotten that anybody could miss
            await account.persist("opened")
            with pytest.raises(EvolveFailed, match="allow_none_state"):
                await account.persist("closed")
        async with entity(persistence, initial=None, evolve=evolve, allow_none_state=True) as account:
            await account.persist("closed")
            assert account.state is None
        with pytest.raises(EvolveFailed, match="event 3"):
            async with entity(persistence, initial=None, evolve=evolve):
                pass
        async with persistence.view("account", view_id="v", initial=0, evolve=evolve, allow_none_state=True) as view:
            assert (view.state, view.sequence_nr) == (None, 3)


async def test_a_bookmark_of_another_journal_is_only_a_hint(memory, entity, caplog):
    async with memory.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a")
        metadata = SnapshotMetadata(persistence_id="account", sequence_nr=1, bookmark=b"of something else")
        await persistence.snapshot_store.save(metadata, ["a"])
        async with entity(persistence) as account:
            assert account.snapshot_sequence_nr == 1


async def test_snapshots_of_a_view_are_not_taken_for_an_entitys(world, entity):
    async with world.open() as persistence:
        async with entity(persistence, "followed") as account:
            await account.persist("a")
        async with persistence.view(
            "followed", view_id="account", initial=0, evolve=lambda count, _: count + 1
        ) as view:
            await view.save_snapshot()
        with pytest.raises(UsageError, match="a view of 'followed'"):
            async with entity(persistence):
                pass


# --- orphans ---------------------------------------------------------------------------------------------------------


def lose_events_from(memory, sequence_nr):
    """What an unclean election does: the end of the log is gone."""
    log = memory.backend.logs["account"]
    del log.events[sequence_nr - 1 :]
    log.highest = sequence_nr - 1


async def with_orphan(memory, entity):
    """Five events, snapshots at 2 and 5, and the last two events lost."""
    async with memory.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b")
        await account.save_snapshot()
        await account.persist("c", "d", "e")
        await account.save_snapshot()
    lose_events_from(memory, 4)


async def test_an_orphan_is_passed_over_with_a_warning(memory, entity, caplog):
    await with_orphan(memory, entity)
    with caplog.at_level(logging.WARNING, "kafka_persist"):
        async with memory.open() as persistence, entity(persistence) as account:
            assert (account.state, account.sequence_nr) == (["a", "b", "c"], 3)
            assert account.snapshot_sequence_nr == 2
    assert "the snapshot at 5 is newer than the journal's last event, 3" in caplog.text


async def test_an_orphan_stays_until_the_entity_writes_and_is_gone_then(memory, entity):
    await with_orphan(memory, entity)
    async with memory.open() as persistence, entity(persistence) as account:
        assert (await persistence.snapshot_store.load("account")).metadata.sequence_nr == 5
        await account.persist("D", "E")
        assert (await persistence.snapshot_store.load("account")).metadata.sequence_nr == 2
    async with memory.open() as persistence, entity(persistence) as account:
        assert account.state == ["a", "b", "c", "D", "E"]


async def test_nothing_is_written_while_the_orphan_cannot_be_deleted(memory, entity):
    await with_orphan(memory, entity)

    async def fail(*_):
        await trio.lowlevel.checkpoint()
        raise ConnectError("nobody there")

    async with memory.open() as persistence, entity(persistence) as account:
        delete, persistence.snapshot_store.delete = persistence.snapshot_store.delete, fail
        with pytest.raises(ConnectError):
            await account.persist("D")
        assert (account.state, persistence.journal.before_write.calls) == (["a", "b", "c"], 0)
        persistence.snapshot_store.delete = delete
        await account.persist("D")
        assert account.sequence_nr == 4


async def test_a_fenced_entity_deletes_only_the_orphans_that_it_has_seen(memory, entity):
    """Its successor has given the lost numbers out again, saved a snapshot and deleted the events behind it."""
    await with_orphan(memory, entity)
    async with memory.open() as here, memory.open() as there, entity(here) as old:
        async with entity(there) as new:
            await new.persist("D", "E")
            await new.save_snapshot()
            await new.delete_events_to(5)
        with pytest.raises(WriterFenced):
            await old.persist("X")
        async with entity(there) as again:
            assert again.state == ["a", "b", "c", "D", "E"]


async def test_an_orphan_that_is_accepted_gives_the_state_and_the_number(memory, entity, stored):
    await with_orphan(memory, entity)
    async with memory.open(ignore_orphan=False) as persistence, entity(persistence) as account:
        assert (account.state, account.sequence_nr) == (["a", "b", "c", "d", "e"], 5)
        await account.persist("f")
        assert (await stored(persistence))[-1] == (6, "f")
    async with memory.open(ignore_orphan=False) as persistence, entity(persistence) as account:
        assert account.state == ["a", "b", "c", "d", "e", "f"]


async def test_an_orphan_without_an_older_snapshot_needs_all_events(memory, entity):
    await with_orphan(memory, entity)
    async with memory.open() as persistence:
        await persistence.snapshot_store.delete_matching("account", SelectionCriteria(max_sequence_nr=2))
        await persistence.journal.delete_to("account", 1)
        with pytest.raises(EventsDeleted):
            async with entity(persistence):
                pass


# --- permits ---------------------------------------------------------------------------------------------------------


async def test_only_so_many_recover_at_once_the_first_come_first(memory, entity, nursery):
    async with memory.open(max_concurrent_recoveries=2) as persistence:
        gates = [trio.Event() for _ in range(5)]
        persistence.journal.before_claim.steps = list(gates)
        opened = []

        async def open_one(name):
            async with entity(persistence, name):
                opened.append(name)
                await trio.sleep_forever()

        for name in "abcde":
            nursery.start_soon(open_one, name)
            await trio.testing.wait_all_tasks_blocked()
        assert persistence.journal.before_claim.calls == 2
        assert "2 recovering, 3 waiting" in repr(persistence)
        for gate in gates:
            gate.set()
            await trio.testing.wait_all_tasks_blocked()
        assert opened == list("abcde")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", ["error", "cancel"])
async def test_a_permit_comes_back_from_a_recovery_that_ends_early(memory, entity, end):
    async with memory.open(max_concurrent_recoveries=1) as persistence:
        persistence.journal.before_claim.steps = [ConnectError("nobody there") if end == "error" else trio.Event()]

        async def open_one():
            async with entity(persistence, "first"):
                pass

        async with trio.open_nursery() as nursery:
            if end == "error":
                with pytest.raises(ConnectError):
                    await open_one()
            else:
                nursery.start_soon(open_one)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        async with entity(persistence, "second") as account:
            await account.persist("a")


async def test_an_open_entity_holds_no_permit(memory, entity):
    async with (
        memory.open(max_concurrent_recoveries=1) as persistence,
        entity(persistence, "first"),
        entity(persistence, "second") as account,
    ):
        await account.persist("a")


async def test_events_of_writers_before_are_part_of_the_state(memory, entity):
    async with memory.open() as persistence:
        writer = uuid.uuid4()
        await persistence.journal.claim("account", writer)
        events = [
            PersistentRepr(persistence_id="account", sequence_nr=number, payload=number, writer=writer)
            for number in (1, 2)
        ]
        await persistence.journal.write([AtomicWrite(events)])
        async with entity(persistence) as account:
            assert account.state == [1, 2]
