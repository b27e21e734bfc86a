"""One of three brokers is killed, paused or restarted while a service works: nothing is wrong, nothing is lost, work goes on."""

from __future__ import annotations

import pytest
import trio

from kafka_persist.errors import PersistenceError

from .conftest import events_topic
from .load import Load, append
from .times import LIMITS

pytestmark = pytest.mark.broker

LONGER_THAN_REQUESTS_WAIT = 8.0


@pytest.fixture
def load(cluster, kafka_prefix):
    return Load(cluster, kafka_prefix, events_topic(kafka_prefix))


async def test_a_killed_broker_is_not_missed(cluster, load):
    """Row 1: everybody goes on while it is down, and when it is back."""
    async with load.running():
        await load.goes_on()
        await cluster.kill(0)
        await load.goes_on(new_ids=False)
        await cluster.start(0)
        await load.goes_on()
    await load.check_everything()


async def test_a_broker_that_stops_for_a_moment_is_waited_for(cluster, load):
    """Row 4: it is still the leader when it goes on."""
    async with load.running():
        await load.goes_on()
        await cluster.pause(1)
        await trio.sleep(2)
        await cluster.resume(1)
        await load.goes_on()
    await load.check_everything()


async def test_a_broker_that_stops_for_long_is_deposed_and_what_it_still_answers_is_not_believed(cluster, load):
    """Rows 4 and 20: others lead when it goes on, and it does not know that yet."""
    async with load.running():
        await load.goes_on()
        await cluster.pause(2)
        await trio.sleep(LONGER_THAN_REQUESTS_WAIT)
        await load.goes_on(new_ids=False)
        await cluster.resume(2)
        await load.goes_on()
    await load.check_everything()


async def test_a_rolling_restart_is_not_noticed(cluster, load):
    """Row 2: each broker in turn, while new entities come all the time."""
    async with load.running():
        await load.goes_on()
        for number in range(3):
            await cluster.restart(number)
            await load.goes_on()
    await load.check_everything()


async def test_an_entity_without_a_snapshot_opens_with_one_broker_down(cluster, kafka_prefix):
    """Row 1: that there is no snapshot topic can be seen without asking for one with three copies."""
    async with cluster.open(kafka_prefix) as home, home.entity("old", initial=[], evolve=append) as entity:
        await entity.persist(1, 2)
    await cluster.kill(2)
    with trio.fail_after(2 * sum(LIMITS.values())):
        assert await opened_again_and_again(cluster, kafka_prefix, "old") == [1, 2]


async def opened_again_and_again(cluster, prefix, pid):
    """The state that an entity opens with: the plain retry loop, in a fresh process."""
    while True:
        try:
            async with cluster.open(prefix) as home, home.entity(pid, initial=[], evolve=append) as entity:
                return entity.state
        except PersistenceError as error:
            if not error.retriable:
                raise
            await trio.sleep(0.2)
