"""The registry on a real broker, with a topic for each id: far more ids than may be open, many tasks, two processes."""

from __future__ import annotations

import random

import pytest
import trio

from kafka_persist import KafkaPersistence, open_persistence

from .conftest import ACCOUNT, SERIALIZER, Put, account_type, put, take
from .kind import config_of

pytestmark = pytest.mark.broker


@pytest.fixture
def config(kafka_server, kafka_prefix):
    return config_of(kafka_server.bootstrap_servers, kafka_prefix)


def opened(config):
    return open_persistence(config, serializer=SERIALIZER)


async def prepare(persistence: KafkaPersistence, count):
    await persistence.journal.prepare([ACCOUNT.persistence_id(str(number)) for number in range(count)])


async def test_many_tasks_on_far_more_ids_than_may_be_open(config):
    """Every command takes effect once, whatever is opened and closed for it, and the limit holds all the time."""
    ids, tasks, commands, limit = 60, 40, 300, 10
    totals = dict.fromkeys(range(ids), 0)
    draw = random.Random(4711)
    work = iter([draw.randrange(ids) for _ in range(commands)])

    async def run(entities):
        for number in work:
            if draw.random() < 0.2:
                with trio.move_on_after(0.001 * draw.random()):  # people who leave in the middle
                    await entities.state(ACCOUNT, str(number))
            assert await entities.execute(ACCOUNT, str(number), put, 1) == (Put(1),)
            totals[number] += 1
            statistics = entities.statistics()
            assert statistics.open + statistics.closing <= limit

    async with opened(config) as persistence:
        await prepare(persistence, ids)
        async with persistence.entities(limit=limit) as entities:
            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(run, entities)
            statistics = entities.statistics()
            assert (statistics.commands, statistics.fenced, statistics.unknown) == (commands, 0, 0)
            assert statistics.failed_openings == 0
            assert entities.health().healthy
        async with persistence.entities() as entities:
            found = {}

            async def look(number):
                found[number] = await entities.state(ACCOUNT, str(number))

            async with trio.open_nursery() as nursery:
                for number in range(ids):
                    nursery.start_soon(look, number)
    assert found == totals


async def test_two_processes_that_use_the_same_id_lose_nothing(config):
    """Each takes the id from the other; every acknowledged command has taken effect once, in both replies and state."""
    async with opened(config) as one, opened(config) as other:
        async with one.entities() as here, other.entities() as there, trio.open_nursery() as nursery:
            for entities in (here, there):
                for _ in range(5):
                    nursery.start_soon(entities.execute, ACCOUNT, "1", put, 1)
        async with one.entities() as entities:
            assert await entities.execute(ACCOUNT, "1", take, 10) == 0


async def test_retention_and_reopening_on_kafka(config):
    """Snapshots, deleted events, a key in the snapshot: all of it is there again after a restart."""
    kind = account_type(snapshot_every=4, keep_events=2, keep_snapshots=2, snapshot_on_passivation=True)
    async with opened(config) as persistence:
        async with persistence.entities() as entities:
            assert await entities.execute_once(kind, "1", "first", put, 5) == (Put(5),)
            for _ in range(10):
                await entities.execute(kind, "1", put, 1)
        assert persistence.journal.deleted_to("account-1") >= 6
    async with opened(config) as persistence, persistence.entities() as entities:
        assert await entities.state(kind, "1") == 15
        assert await entities.execute_once(kind, "1", "second", take, 5) == 10
        assert await entities.execute_once(kind, "1", "second", take, 5) == 10
