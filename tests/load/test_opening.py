"""Ordinary load: many entities at once, new ids all the time, and everybody gets an answer soon."""

from __future__ import annotations

import random

import pytest
import trio

from kafka_persist import Config, JournalConfig, PersistenceError, open_persistence
from kafka_persist_testkit import TestServer

pytestmark = pytest.mark.broker


@pytest.fixture(
    scope="module", params=["zookeeper", pytest.param("kraft", marks=pytest.mark.kraft)], ids=["zookeeper", "kraft"]
)
def servers(request):
    """A fresh broker: nothing was prepared on it."""
    with TestServer(request.param) as server:
        yield server.bootstrap_servers


def total(state: int, event: int) -> int:
    return state + event


def persistence_on(servers: str):
    return open_persistence(Config(journal=JournalConfig(bootstrap_servers=servers)))


async def open_all(servers: str, names: list[str]) -> dict[str, int]:
    """Open all entities at once, persist one event in each; their states."""
    states: dict[str, int] = {}

    async def one(name: str) -> None:
        async with persistence.entity(name, initial=0, evolve=total) as entity:
            await entity.persist(1)
            states[name] = entity.state

    async with persistence_on(servers) as persistence, trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
    return states


@pytest.mark.parametrize("count", [3, 20, 100, 500])
async def test_new_entities_are_opened_at_once_and_so_they_are_the_next_time(servers, count, kafka_prefix):
    """The first minute of every service; the ids never saved a snapshot, so each look for one finds no topic."""
    names = [f"{kafka_prefix}{number}" for number in range(count)]
    for round_number in (1, 2):
        with trio.fail_after(110):
            assert await open_all(servers, names) == dict.fromkeys(names, round_number)


TASKS, COMMANDS, IDS = 50, 1_000, 250


async def test_commands_of_a_service_that_opens_and_closes_entities_all_succeed(servers, kafka_prefix):
    """Tasks open an entity, execute, close; who finds it open takes another one."""
    done: dict[str, int] = {}
    left = iter(range(COMMANDS))
    busy: set[str] = set()
    chances = random.Random(1)

    async def task() -> None:
        for _ in left:
            free = [name for name in names if name not in busy]
            name = chances.choice(free)
            busy.add(name)
            async with persistence.entity(name, initial=0, evolve=total, snapshot_every=3) as entity:
                await entity.execute(lambda _state: [1])
                done[name] = done.get(name, 0) + 1
                assert entity.state == done[name]
            busy.discard(name)

    names = [f"{kafka_prefix}order-{number}" for number in range(IDS)]
    with trio.fail_after(110):
        async with persistence_on(servers) as persistence, trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(task)
    assert sum(done.values()) == COMMANDS


async def test_people_who_leave_in_the_middle_disturb_nobody(servers, kafka_prefix):
    """Each call is cancelled at some moment; the same id can be opened again, and holds what was acknowledged."""
    chances = random.Random(2)
    acknowledged: dict[str, int] = {}

    async def visitor(name: str) -> None:
        for _ in range(6):
            with trio.move_on_after(chances.uniform(0, 0.3)):
                async with persistence.entity(name, initial=0, evolve=total, snapshot_every=2) as entity:
                    while True:
                        await entity.persist(1)
                        acknowledged[name] = entity.state

    names = [f"{kafka_prefix}{number}" for number in range(20)]
    with trio.fail_after(110):
        async with persistence_on(servers) as persistence:
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(visitor, name)
            for name in names:
                async with persistence.entity(name, initial=0, evolve=total) as entity:
                    assert entity.state >= acknowledged.get(name, 0)


@pytest.mark.parametrize("readers", [1, 16, 64])
async def test_any_number_of_readers_replays_what_is_there(servers, kafka_prefix, readers):
    names = [f"{kafka_prefix}{number}" for number in range(40)]
    await open_all(servers, names)
    left = iter(range(400))
    chances = random.Random(readers)
    failures: list[PersistenceError] = []

    async def read() -> None:
        for _ in left:
            try:
                async with persistence.journal.replay(chances.choice(names)) as events:
                    assert [event.sequence_nr async for event in events] == [1]
            except PersistenceError as error:
                failures.append(error)

    with trio.fail_after(110):
        async with persistence_on(servers) as persistence, trio.open_nursery() as nursery:
            for _ in range(readers):
                nursery.start_soon(read)
    assert not failures
