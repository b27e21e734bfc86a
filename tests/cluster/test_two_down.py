"""Two of three brokers are down: nobody is told that something is stored, errors say that they pass, and they do."""

from __future__ import annotations

import pytest
import trio

from kafka_persist.errors import PersistenceError

from .conftest import events_topic
from .load import Load, append

pytestmark = pytest.mark.broker


@pytest.fixture
def load(cluster, kafka_prefix):
    return Load(cluster, kafka_prefix, events_topic(kafka_prefix))


async def test_with_two_of_three_down_nothing_is_acknowledged_and_all_goes_on_when_they_are_back(cluster, load):
    """Row 5: a plain loop that tries again is all that a program needs."""
    async with load.running():
        await load.goes_on()
        await cluster.kill(0)
        await cluster.kill(1)
        down = trio.current_time()
        await load.everybody_meets_an_error()
        assert [book.pid for book in load.accounts if book.begun > down] == [], "acknowledged by one broker of three"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cluster.start, 0)
            nursery.start_soon(cluster.start, 1)
        await load.goes_on()
    await load.check_everything()


async def test_what_is_stored_stays_open_to_readers(cluster, kafka_prefix):
    """Row 5: the last broker still answers questions about what it leads; what it cannot answer is an error that passes."""
    async with cluster.open(kafka_prefix) as home:
        for number in range(6):
            async with home.entity(f"id-{number}", initial=[], evolve=append) as entity:
                await entity.persist(1, 2, 3)
                await entity.save_snapshot()
        await cluster.kill(1)
        await cluster.kill(2)
        answered = 0
        for number in range(6):
            try:
                async with home.journal.replay(f"id-{number}") as events:
                    assert [event.payload async for event in events] == [1, 2, 3]
                found = await home.snapshot_store.load(f"id-{number}")
                assert found is not None
                assert found.snapshot == [1, 2, 3]
                answered += 1
            except PersistenceError as error:
                if not error.retriable:
                    raise
        assert answered, "one broker in three leads a third of the logs"
