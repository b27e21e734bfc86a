"""The registry: opens on demand, shares, closes what is idle, and stays within its limit."""

from __future__ import annotations

import gc
from functools import partial

import pytest
import trio
import trio.testing

from kafka_persist import (
    ConnectError,
    EntityAlreadyOpen,
    EntityType,
    InvalidPersistenceId,
    MemoryBackend,
    StoreClosed,
    UsageError,
    open_memory_persistence,
)

from .conftest import ACCOUNT, SERIALIZER, Put, Refused, Took, account_type, evolve, put, take


async def test_a_command_returns_its_events_or_its_reply(world):
    async with world.open() as persistence, persistence.entities() as entities:
        assert await entities.execute(ACCOUNT, "1", put, 5) == (Put(5),)
        assert await entities.execute(ACCOUNT, "1", take, amount=3) == 2
        assert await entities.state(ACCOUNT, "1") == 2
        assert await entities.state(ACCOUNT, "2") == 0
        assert (await entities.sequence_nr(ACCOUNT, "1"), await entities.sequence_nr(ACCOUNT, "2")) == (2, 0)
        with pytest.raises(Refused):
            await entities.execute(ACCOUNT, "1", take, 3)
    assert world.numbers() == [1, 2]


async def test_tasks_share_an_entity_and_it_is_recovered_once(world):
    async with world.open() as persistence, persistence.entities() as entities:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(entities.execute, ACCOUNT, "1", put, 1)
        assert await entities.state(ACCOUNT, "1") == 50
        assert persistence.journal.claim_faults.calls == 1
        assert entities.statistics().opened == 1


async def test_an_entity_is_closed_when_it_was_idle_for_long_and_opened_again(world, autojump_clock):
    async with world.open() as persistence, persistence.entities(idle_after=60) as entities:
        await entities.execute(ACCOUNT, "1", put, 1)
        await trio.sleep(30)
        await entities.execute(ACCOUNT, "2", put, 1)
        await trio.sleep(31)
        assert (entities.statistics().open, entities.statistics().passivated) == (1, 1)
        await trio.sleep(30)
        assert (entities.statistics().open, entities.statistics().passivated) == (0, 2)
        assert await entities.state(ACCOUNT, "1") == 1


async def test_an_entity_in_use_is_not_closed_for_its_age(world, autojump_clock):
    async with world.open() as persistence, persistence.entities(idle_after=60) as entities:
        await entities.execute(ACCOUNT, "1", put, 1)
        persistence.journal.write_faults.before = [partial(trio.sleep, 600)]
        await entities.execute(ACCOUNT, "1", put, 1)
        assert entities.statistics().opened == 1


async def test_beyond_the_limit_the_longest_idle_one_is_closed(world):
    async with world.open() as persistence, persistence.entities(limit=2) as entities:
        for name in ("1", "2", "1", "3"):
            await entities.execute(ACCOUNT, name, put, 1)
        assert (entities.statistics().open, entities.statistics().opened) == (2, 3)
        await entities.execute(ACCOUNT, "1", put, 1)
        assert entities.statistics().opened == 3, "1 was used after 2, so 2 had to go"


async def test_those_beyond_the_limit_wait_while_all_are_in_use(world):
    async with world.open() as persistence, persistence.entities(limit=2) as entities:
        gate = trio.Event()
        persistence.journal.write_faults.before = [gate.wait, gate.wait]
        async with trio.open_nursery() as nursery:
            for name in ("1", "2", "3", "4"):
                nursery.start_soon(entities.execute, ACCOUNT, name, put, 1)
            await trio.testing.wait_all_tasks_blocked()
            statistics = entities.statistics()
            assert (statistics.open, statistics.in_use, statistics.opening) == (2, 2, 2)
            gate.set()
        assert entities.statistics().commands == 4


async def test_an_entity_that_is_just_closing_is_waited_for_and_opened_again(world):
    kind = account_type(snapshot_on_passivation=True)
    async with world.open() as persistence, persistence.entities(limit=1) as entities:
        await entities.execute(kind, "1", put, 1)
        gate = trio.Event()
        persistence.snapshot_store.save_faults.before = [gate.wait]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(entities.execute, kind, "2", put, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert entities.statistics().closing == 1
            nursery.start_soon(entities.execute, kind, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert persistence.journal.claim_faults.calls == 1
            gate.set()
        assert await entities.state(kind, "1") == 2


async def test_who_leaves_while_an_entity_opens_disturbs_nobody(world):
    async with world.open() as persistence, persistence.entities() as entities:
        gate = trio.Event()
        persistence.journal.claim_faults.before = [gate.wait]
        async with trio.open_nursery() as stay:
            stay.start_soon(entities.execute, ACCOUNT, "1", put, 1)
            async with trio.open_nursery() as leave:
                leave.start_soon(entities.execute, ACCOUNT, "1", put, 1)
                await trio.testing.wait_all_tasks_blocked()
                leave.cancel_scope.cancel()
            gate.set()
        assert await entities.state(ACCOUNT, "1") == 1
        assert entities.statistics().opened == 1


async def test_openings_that_nobody_waits_for_any_more_are_given_up(world):
    async with world.open() as persistence, persistence.entities(limit=1) as entities:
        gate = trio.Event()
        persistence.journal.write_faults.before = [gate.wait]
        async with trio.open_nursery() as stay:
            stay.start_soon(entities.execute, ACCOUNT, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as leave:
                for name in ("2", "3", "3"):
                    leave.start_soon(entities.execute, ACCOUNT, name, put, 1)
                await trio.testing.wait_all_tasks_blocked()
                assert entities.statistics().opening == 2
                leave.cancel_scope.cancel()
            assert entities.statistics().opening == 0
            stay.start_soon(entities.execute, ACCOUNT, "3", put, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert entities.statistics().opening == 1
            gate.set()
        assert entities.statistics().opened == 2
    assert world.numbers("account-3") == [1]


async def test_leaving_the_block_waits_for_snapshots_of_entities_that_are_just_closing(world):
    kind = account_type(snapshot_on_passivation=True)
    gate = trio.Event()

    async def open_gate_late():
        await trio.testing.wait_all_tasks_blocked()
        gate.set()

    async with trio.open_nursery() as outside, world.open() as persistence:
        async with persistence.entities(limit=1) as entities:
            persistence.snapshot_store.save_faults.before = [gate.wait]
            await entities.execute(kind, "1", put, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(entities.execute, kind, "2", put, 1)
                await trio.testing.wait_all_tasks_blocked()
                assert entities.statistics().closing == 1
                nursery.cancel_scope.cancel()
            outside.start_soon(open_gate_late)
        assert world.snapshots() == [1]


async def test_an_opening_that_ends_after_the_block_keeps_no_name(world):
    late = trio.Event()

    async def claim_late():
        with trio.CancelScope(shield=True):
            await late.wait()

    async def be_late():
        await trio.testing.wait_all_tasks_blocked()
        late.set()

    async with world.open() as persistence:
        persistence.journal.claim_faults.after = [claim_late]
        async with trio.open_nursery() as nursery, persistence.entities() as entities:
            nursery.start_soon(entities_are_closed, entities)  # noqa: ASYNC111 - that it outlives the block is the point
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(be_late)
        async with persistence.entity("account-1", initial=0, evolve=evolve) as account:
            assert account.state == 0


async def entities_are_closed(entities):
    with pytest.raises(StoreClosed):
        await entities.state(ACCOUNT, "1")


async def test_everybody_who_waits_for_an_opening_gets_its_error_and_the_next_one_tries_again(world):
    errors = []

    async def ask():
        try:
            await entities.execute(ACCOUNT, "1", put, 1)
        except ConnectError as error:
            errors.append(str(error))

    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.claim_faults.before = [ConnectError("nobody answers")]
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert errors == ["nobody answers"] * 10
        assert "ConnectError" in entities.health().problems[0]
        await entities.execute(ACCOUNT, "1", put, 1)
        assert entities.health().healthy


async def test_an_id_that_is_open_elsewhere_in_the_persistence_is_refused(world):
    async with world.open() as persistence, persistence.entities() as entities:
        async with persistence.entity("account-1", initial=0, evolve=evolve):
            with pytest.raises(EntityAlreadyOpen):
                await entities.state(ACCOUNT, "1")
        assert await entities.state(ACCOUNT, "1") == 0


async def test_after_the_block_everything_is_closed(world):
    async with world.open() as persistence:
        async with persistence.entities() as entities:
            await entities.execute(ACCOUNT, "1", put, 1)
        with pytest.raises(StoreClosed):
            await entities.execute(ACCOUNT, "1", put, 1)
        async with persistence.entities() as again:
            assert await again.state(ACCOUNT, "1") == 1
        assert "closed" in repr(entities)


async def test_an_exception_in_the_block_comes_out_bare(world):
    async with world.open() as persistence:
        with pytest.raises(Refused):
            async with persistence.entities() as entities:
                await entities.execute(ACCOUNT, "1", take, 1)


async def test_thousands_of_ids_in_a_loop_need_the_memory_of_the_limit():
    backend = MemoryBackend()
    async with (
        open_memory_persistence(backend, serializer=SERIALIZER) as persistence,
        persistence.entities(limit=100) as entities,
    ):
        counts = []
        for number in range(2_000):
            await entities.execute(ACCOUNT, str(number), put, 1)
            if number in (500, 1_999):
                backend.logs.clear()  # what is stored
                gc.collect()
                counts.append(len(gc.get_objects()))
        statistics = entities.statistics()
    assert (statistics.open, statistics.opened, statistics.passivated) == (100, 2_000, 1_900)
    assert counts[1] < counts[0] + 1_000, "objects that stay for each id"


@pytest.mark.parametrize("name", ["", "a-b", "ä", "1a", "a" * 101, None])
def test_a_type_has_a_name_that_ends_at_the_first_hyphen(name):
    with pytest.raises(UsageError, match="name of an entity type"):
        EntityType(name, initial=0, evolve=evolve)


def test_an_id_follows_from_type_and_id_and_leads_back():
    assert ACCOUNT.persistence_id("4711-b") == "account-4711-b"
    assert ACCOUNT.id_of("account-4711-b") == "4711-b"
    assert ACCOUNT.id_of("accounts-4711") is ACCOUNT.id_of("account") is None
    with pytest.raises(InvalidPersistenceId):
        ACCOUNT.persistence_id("")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evolve": lambda state: state}, "2 positional"),
        ({"evolve": trio.sleep}, "plain function"),
        ({"snapshot_every": 0}, "snapshot_every"),
        ({"keep_events": 5}, "keep_events"),
        ({"keep_snapshots": 2}, "keep_snapshots"),
        ({"remember_keys": -1}, "remember_keys"),
        ({"tagger": lambda: ()}, "tagger"),
    ],
)
def test_a_type_is_checked_when_it_is_made(options, message):
    with pytest.raises(UsageError, match=message):
        EntityType("account", **{"initial": 0, "evolve": evolve, **options})


class Unknown:
    pass


def evolve_unknown(state: int, event: Put | Unknown) -> int:
    return state


def evolve_object(state: Unknown, event: Put) -> Unknown:
    return state


def test_types_of_events_and_states_must_be_registered():
    with pytest.raises(UsageError, match="event type Unknown is not registered"):
        EntityType("account", initial=0, evolve=evolve_unknown, serializer=SERIALIZER)
    with pytest.raises(UsageError, match="state type Unknown is not registered"):
        EntityType("account", initial=Unknown(), evolve=evolve_object, serializer=SERIALIZER, snapshot_every=3)
    EntityType("account", initial=Unknown(), evolve=evolve_object, serializer=SERIALIZER)  # no snapshot is ever saved
    EntityType("account", initial=0, evolve=lambda state, _event: state, serializer=SERIALIZER)  # nothing is annotated


async def test_types_are_checked_at_the_first_use_at_the_latest(world):
    late = EntityType("late", initial=0, evolve=evolve_unknown)
    other = account_type()
    async with world.open() as persistence, persistence.entities() as entities:
        with pytest.raises(UsageError, match="Unknown is not registered"):
            await entities.state(late, "1")
        await entities.state(ACCOUNT, "1")
        with pytest.raises(UsageError, match="two entity types are named 'account'"):
            await entities.state(other, "1")
        with pytest.raises(UsageError, match="EntityType"):
            await entities.state("account", "1")


async def test_statistics_tell_what_was_done(world):
    async with world.open() as persistence, persistence.entities() as entities:
        for _ in range(3):
            await entities.execute(ACCOUNT, "1", put, 1)
        with pytest.raises(Refused):
            await entities.execute(ACCOUNT, "1", take, 10)
        await entities.execute(ACCOUNT, "1", lambda _balance: [Took(1)])
        found = entities.statistics()
    assert (found.commands, found.refused, found.execute.count, found.opened) == (4, 1, 4, 1)
    assert 0 < found.execute.p50 <= found.execute.p99 <= found.execute.longest
