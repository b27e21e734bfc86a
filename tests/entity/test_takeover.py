"""An id that changes hands while its old writer, or a third one, saves snapshots and deletes what they cover."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import EventsDeleted, WriteOutcomeUnknown, WriterFenced

FIRST, ALL = list(range(1, 11)), list(range(1, 21))


def moments(persistence):
    """Where a recovery can be interrupted: between its steps, and between two events."""
    store, journal = persistence.snapshot_store, persistence.journal
    return {
        "after the load": store.after_load,
        "after the claim": journal.after_claim,
        "before the first event": journal.before_event,
    }


WHEN = ("after the load", "after the claim", "before the first event")


@pytest.mark.parametrize("skip_deleted", [False, True])
@pytest.mark.parametrize("when", WHEN)
async def test_a_snapshot_and_a_deletion_of_the_old_writer_lose_no_event(world, entity, when, skip_deleted):
    """The old writer's claim to the id ends, but not what it does about snapshots and deletions."""
    async with world.open() as here, world.open_scripted() as there, entity(here) as old:
        await old.persist(*FIRST)
        await old.save_snapshot()
        await old.persist(*ALL[10:])

        async def meanwhile():
            await old.save_snapshot()
            await old.delete_events_to(20)

        moments(there)[when].steps = [meanwhile]
        async with entity(there, skip_deleted=skip_deleted) as new:
            assert (new.state, new.sequence_nr) == (ALL, 20)
            assert old.snapshot_sequence_nr == 20, "nothing happened meanwhile"
            await new.save_snapshot()
            await new.persist(21)
        async with entity(there) as again:
            assert again.state == [*ALL, 21]


@pytest.mark.parametrize("skip_deleted", [False, True])
async def test_events_that_the_old_writer_stored_and_deleted_between_load_and_claim_are_in_the_state(
    world, entity, skip_deleted
):
    async with world.open() as here, world.open_scripted() as there, entity(here) as old:
        await old.persist(*FIRST)
        await old.save_snapshot()

        async def meanwhile():
            await old.persist(*ALL[10:])
            await old.save_snapshot()
            await old.delete_events_to(20)

        there.snapshot_store.after_load.steps = [meanwhile]
        async with entity(there, skip_deleted=skip_deleted) as new:
            assert (new.state, new.sequence_nr, new.snapshot_sequence_nr) == (ALL, 20, 20)


@pytest.mark.parametrize("skip_deleted", [False, True])
async def test_a_first_snapshot_that_the_load_did_not_see_is_found_after_the_claim(world, entity, skip_deleted):
    async with world.open() as here, world.open_scripted() as there, entity(here) as old:
        await old.persist(*FIRST)

        async def meanwhile():
            await old.save_snapshot()
            await old.delete_events_to(10)

        there.snapshot_store.after_load.steps = [meanwhile]
        async with entity(there, skip_deleted=skip_deleted) as new:
            assert (new.state, new.sequence_nr) == (FIRST, 10)


@pytest.mark.parametrize("skip_deleted", [False, True])
async def test_a_third_writer_that_overtakes_the_recovery_is_taken_over_in_turn(world, entity, skip_deleted):
    """It claims behind this claim, writes, saves and deletes: what this recovery wants to read is gone."""
    async with world.open() as here, world.open_scripted() as there:
        async with entity(here) as old:
            await old.persist(*FIRST)

        async def meanwhile():
            async with entity(here) as third:
                await third.persist(*ALL[10:])
                await third.save_snapshot()
                await third.delete_events_to(20)

        there.journal.after_claim.steps = [meanwhile]
        async with entity(there, skip_deleted=skip_deleted) as new:
            assert (new.state, new.sequence_nr) == (ALL, 20)
            await new.persist(21)


async def test_a_recovery_that_is_overtaken_every_time_says_who_was_in_the_way(memory, entity):
    async with memory.open() as here, memory.open() as there:
        async with entity(here) as old:
            await old.persist("a")

        async def write():
            async with entity(here) as third:
                await third.persist("b")

        async def write_and_cut():
            async with entity(here) as third:
                await third.persist("b")
                await third.save_snapshot()
                await third.delete_events_to(third.sequence_nr)

        there.snapshot_store.after_load.steps = [step for _ in range(50) for step in (write, None)]
        there.journal.after_claim.steps = [write_and_cut] * 50
        with pytest.raises(WriterFenced, match="others claimed the id"):
            async with entity(there):
                pass
        there.snapshot_store.after_load.steps = there.journal.after_claim.steps = []
        async with entity(there) as new:
            assert new.state == ["a", *"b" * (new.sequence_nr - 1)]


async def test_skipping_leaves_out_only_what_no_snapshot_covers(world, entity):
    async with world.open() as persistence:
        async with entity(persistence) as account:
            await account.persist("a", "b", "c", "d")
        await persistence.journal.delete_to("account", 2)
        with pytest.raises(EventsDeleted, match="events 1 to 2 were deleted"):
            async with entity(persistence):
                pass
        async with entity(persistence, skip_deleted=True) as account:
            assert (account.state, account.sequence_nr) == (["c", "d"], 4)
            await account.save_snapshot()
        async with entity(persistence) as account:
            assert account.state == ["c", "d"]


@pytest.mark.parametrize("skip_deleted", [False, True])
async def test_a_view_takes_the_snapshot_that_its_double_saved_meanwhile(world, skip_deleted):
    """The view moves to another process, whose older copy still reads, saves, and lets the entity delete."""

    def view(persistence):
        return persistence.view(
            "account", view_id="list", initial=[], evolve=lambda s, e: [*s, e], skip_deleted=skip_deleted
        )

    async with world.open() as here, world.open_scripted() as there:
        counter = here.entity("account", initial=0, evolve=lambda s, _: s + 1)
        async with counter as account, view(here) as old:
            await account.persist(*FIRST)
            await old.update()
            await old.save_snapshot()
            await account.persist(*ALL[10:])

            async def meanwhile():
                await old.update()
                await old.save_snapshot()
                await account.save_snapshot()
                await account.delete_events_to(20)

            there.journal.after_look.steps = [meanwhile]
            async with view(there) as new:
                assert (new.state, new.sequence_nr, new.snapshot_sequence_nr) == (ALL, 20, 20)
                await account.persist(21)
                await old.update()
                await old.save_snapshot()
                await account.save_snapshot()
                await account.delete_events_to(21)
                await new.update()
                assert (new.state, new.sequence_nr, new.snapshot_sequence_nr) == ([*ALL, 21], 21, 21)


async def test_visitors_that_write_save_and_delete_in_turns_always_find_the_whole_state(world):
    """Two processes open one id again and again; each deletes everything that its snapshot covers."""
    counts = []

    async def visit(persistence):
        for _ in range(25):
            try:
                async with persistence.entity("account", initial=0, evolve=lambda s, e: s + e) as account:
                    counts.append((account.state, account.sequence_nr))
                    await account.persist(*[1] * 5)
                    await account.save_snapshot()
                    await account.delete_events_to(account.snapshot_sequence_nr)
            except (WriterFenced, WriteOutcomeUnknown):
                pass  # the other one was faster; what an unknown write did, the next opening tells

    async with world.open() as here, world.open() as there, trio.open_nursery() as nursery:
        nursery.start_soon(visit, here)
        nursery.start_soon(visit, there)
    assert counts
    assert [pair for pair in counts if pair[0] != pair[1]] == []
