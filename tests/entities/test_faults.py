"""Faults on demand, and the fixtures: what applications test themselves with."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import ConnectError, MemoryBackend, UsageError, WriteNotSent, WriteOutcomeUnknown, WriterFenced
from kafka_persist_testkit import open_faulty_persistence

from .conftest import ACCOUNT, SERIALIZER, Put, account_type, evolve, put, take


@pytest.fixture
def entity_serializer():
    return SERIALIZER


async def test_the_next_write_fails_and_nothing_is_stored(memory_persistence, persistence_faults):
    """Once; the entity goes on."""
    async with memory_persistence.entities() as entities:
        persistence_faults.fail_next_write()
        with pytest.raises(WriteNotSent, match="the test asked for it"):
            await entities.execute(ACCOUNT, "1", put, 1)
        await entities.execute(ACCOUNT, "1", put, 2)
        assert await entities.state(ACCOUNT, "1") == 2


@pytest.mark.parametrize("stored", [False, True])
async def test_the_outcome_of_the_next_write_is_unknown(memory_persistence, persistence_faults, stored):
    """The truth is the test's choice."""
    async with memory_persistence.entities() as entities:
        persistence_faults.unknown_next_write(stored=stored)
        with pytest.raises(WriteOutcomeUnknown):
            await entities.execute(ACCOUNT, "1", put, 5)
        assert await entities.state(ACCOUNT, "1") == (5 if stored else 0)
        persistence_faults.unknown_next_write(stored=stored)
        assert await entities.execute_once(ACCOUNT, "1", "key", put, 1) == (Put(1),)
        assert await entities.state(ACCOUNT, "1") == (6 if stored else 1)


async def test_an_id_is_taken_over(memory_persistence, persistence_faults, autojump_clock):
    """The registry takes it back; an entity that is opened by hand stops."""
    async with memory_persistence.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 5)
        await persistence_faults.fence(ACCOUNT.persistence_id("1"))
        assert await entities.execute(ACCOUNT, "1", take, 5) == 0
        assert entities.statistics().fenced == 1
    async with memory_persistence.entity("account-2", initial=0, evolve=evolve) as account:
        await persistence_faults.fence("account-2")
        with pytest.raises(WriterFenced):
            await account.persist(Put(1))


async def test_a_snapshot_fails(memory_persistence, persistence_faults):
    """The entity goes on, and its health says so."""
    kind = account_type(snapshot_every=1)
    async with memory_persistence.entities() as entities:
        persistence_faults.fail_next_snapshot()
        await entities.execute(kind, "1", put, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert entities.statistics().failed_snapshots == 1
        assert "saving snapshots failed" in entities.health().problems[0]


async def test_brokers_are_slow_or_broken_inside_a_block(memory_persistence, persistence_faults, autojump_clock):
    """Slow ones cost virtual time only; broken ones store nothing."""
    async with memory_persistence.entities() as entities:
        began = trio.current_time()
        with persistence_faults.slow(30):
            await entities.execute(ACCOUNT, "1", put, 1)
        assert trio.current_time() - began >= 90  # a snapshot is looked for, the id claimed, the event written
        with persistence_faults.broken(), pytest.raises(ConnectError):
            await entities.execute(ACCOUNT, "1", put, 1)
        with persistence_faults.broken(), pytest.raises(ConnectError):
            await entities.state(ACCOUNT, "2")
        assert await entities.state(ACCOUNT, "1") == 1
        with pytest.raises(UsageError, match="seconds"), persistence_faults.slow(-1):
            pass


async def test_two_persistences_on_one_backend_are_two_processes(autojump_clock):
    """What one stores, the other one reads; and each takes the id from the other."""
    backend = MemoryBackend()
    options = {"serializer": SERIALIZER}
    async with (
        open_faulty_persistence(backend, **options) as (one, _),
        open_faulty_persistence(backend, **options) as (two, _),
        one.entities() as here,
        two.entities() as there,
    ):
        for entities in (here, there, here):
            await entities.execute(ACCOUNT, "1", put, 1)
        assert await here.state(ACCOUNT, "1") == 3


@pytest.mark.broker
async def test_the_kafka_fixture_is_a_persistence_of_its_own(kafka_persistence, unique_topics):
    """On the session's broker, under the test's prefix."""
    async with kafka_persistence.entities() as entities:
        assert await entities.execute(ACCOUNT, "1", put, 1) == (Put(1),)
    assert unique_topics("orders") == unique_topics("orders") != unique_topics("items")
