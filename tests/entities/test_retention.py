"""Retention: when snapshots are saved, what is deleted after them, and in which order."""

from __future__ import annotations

import pytest
import trio.testing

from kafka_persist import ConnectError

from .conftest import Put, account_type, put


async def run(world, kind, commands, **options):
    async with world.open() as persistence, persistence.entities(**options) as entities:
        for _ in range(commands):
            await entities.execute(kind, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()  # the snapshot of this event is saved, if it has one
        return entities.statistics()


@pytest.mark.parametrize(
    ("options", "snapshots"),
    [
        ({"snapshot_every": 3}, [3, 6, 9]),
        ({"snapshot_when": lambda state, _event, _number: state % 4 == 0}, [4, 8]),
        ({"snapshot_on_passivation": True}, [10]),
        ({"snapshot_every": 3, "snapshot_on_passivation": True}, [3, 6, 9, 10]),
        ({"snapshot_every": 2, "keep_snapshots": 2}, [8, 10]),
        ({"snapshot_every": 2, "keep_snapshots": 1}, [10]),
    ],
)
async def test_snapshots_are_saved_and_kept_as_the_type_says(world, options, snapshots):
    """Every n events, by a predicate, on passivation; and the newest k stay."""
    statistics = await run(world, account_type(**options), 10)
    assert world.snapshots() == snapshots
    assert statistics.failed_snapshots == 0


async def test_events_behind_a_snapshot_are_deleted_up_to_a_margin(world):
    """The newest events stay, so that an older snapshot can be loaded in an emergency."""
    await run(world, account_type(snapshot_every=5, keep_events=3), 12)
    assert (world.snapshots(), world.numbers()) == ([5, 10], [8, 9, 10, 11, 12])


async def test_a_predicate_sees_each_event_of_a_command(world):
    """The snapshot is that of the last event; one predicate that is true asks for it."""
    kind = account_type(snapshot_when=lambda _state, event, _number: event == Put(7))
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute(kind, "1", lambda _state: [Put(7), Put(1)])
    assert world.snapshots() == [2]


async def test_nothing_is_deleted_unless_its_snapshot_is_saved(world):
    """A store that fails costs a snapshot; the next one comes as many events later."""
    kind = account_type(snapshot_every=2, keep_events=0, keep_snapshots=1)
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.snapshot_store.save_faults.before = [ConnectError("nobody answers")]
        for _ in range(2):
            await entities.execute(kind, "1", put, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert (world.numbers(), world.snapshots()) == ([1, 2], [])
        assert "ConnectError" in entities.health().problems[0]
        for _ in range(2):
            await entities.execute(kind, "1", put, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert (world.numbers(), world.snapshots()) == ([], [4])
        assert entities.health().healthy


@pytest.mark.parametrize("fail", ["before", "after"])
async def test_events_that_could_not_be_deleted_go_with_the_next_snapshot(world, fail):
    """A failed deletion loses nothing, and old snapshots stay as long as the events do."""
    kind = account_type(snapshot_every=2, keep_events=0, keep_snapshots=1)
    async with world.open() as persistence, persistence.entities() as entities:
        getattr(persistence.journal.delete_faults, fail).extend([None, ConnectError("nobody answers")])
        for _ in range(4):
            await entities.execute(kind, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()
        assert world.snapshots() == [2, 4]
        for _ in range(2):
            await entities.execute(kind, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()
        assert (world.numbers(), world.snapshots()) == ([], [6])
    async with world.open() as persistence, persistence.entities() as entities:
        assert await entities.state(kind, "1") == 6


async def test_numbers_of_kept_snapshots_are_known_after_a_restart(world):
    """So that a process which lives for one snapshot only deletes older ones, too."""
    kind = account_type(snapshot_every=2, keep_snapshots=2)
    for _ in range(4):
        await run(world, kind, 2)
    assert world.snapshots() == [6, 8]
