"""A call ends in its own time, however many others wait for the same broker, or for the same id."""

from __future__ import annotations

import pytest
import trio

from kafka_persist.config import SnapshotStoreConfig
from kafka_persist.errors import PersistenceError
from kafka_persist.model import SelectionCriteria, SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import SimKafka, open_sim_broker

CONNECT, STALL, DELIVERY = 3.0, 5.0, 2.0
CALLS = 40


@pytest.fixture
def config(layout):
    return SnapshotStoreConfig(
        layout=layout, connect_timeout=CONNECT, recovery_stall_timeout=STALL, delivery_timeout=DELIVERY
    )


class Silent(SimKafka):
    """A driver whose broker answers some questions only."""

    topics_are_answered = True
    reading_is_answered = True

    async def ensure_topics(self, specs):
        if not self.topics_are_answered:
            await trio.sleep_forever()
        await super().ensure_topics(specs)

    async def scan(self, log, start, stop):
        if not self.reading_is_answered:
            self.broker.down = True
        return await super().scan(log, start, stop)


async def save(store, pid):
    await store.save(SnapshotMetadata(persistence_id=pid, sequence_nr=2), "new")


async def delete(store, pid):
    await store.delete_matching(pid, SelectionCriteria(max_sequence_nr=1))


async def load(store, pid):
    await store.load(pid)


def one_each(number):
    return f"id-{number}"


def the_same(_number):
    return "id"


@pytest.mark.parametrize(
    ("call", "pid_of", "answered"),
    [
        (save, one_each, {"topics_are_answered": False}),
        (save, the_same, {"topics_are_answered": False}),
        (save, one_each, {"reading_is_answered": False}),
        (save, the_same, {"reading_is_answered": False}),
        (delete, one_each, {"reading_is_answered": False}),
        (delete, the_same, {"reading_is_answered": False}),
        (load, one_each, {"reading_is_answered": False}),
        (load, the_same, {"reading_is_answered": False}),
    ],
)
async def test_calls_that_nobody_answers_end_in_time_each_of_them(autojump_clock, config, call, pid_of, answered):
    """The time counts from the call on: what others wait for is not added to it."""
    took = []

    async def timed(pid):
        began = trio.current_time()
        with pytest.raises(PersistenceError) as caught:
            await call(store, pid)
        assert caught.value.retriable, caught.value
        took.append(trio.current_time() - began)

    async with open_sim_broker() as broker:
        driver = Silent(broker, config)
        async with open_snapshot_store_on(driver, config) as store:
            async with trio.open_nursery() as nursery:
                for number in range(CALLS):
                    nursery.start_soon(save, store, pid_of(number))
            vars(driver).update(answered)
            with trio.fail_after(1000):
                async with trio.open_nursery() as nursery:
                    for number in range(CALLS):
                        nursery.start_soon(timed, pid_of(number))
    assert len(took) == CALLS
    assert max(took) <= CONNECT + STALL + 0.1


async def test_a_save_that_waits_for_its_topic_says_so_and_is_certainly_not_stored(autojump_clock, config, topic_of_id):
    async with open_sim_broker() as broker:
        driver = Silent(broker, config)
        async with open_snapshot_store_on(driver, config) as store:
            driver.topics_are_answered = False
            with (
                trio.fail_after(1000),
                pytest.raises(
                    PersistenceError, match=f"it waited for topic {topic_of_id} to be found or created"
                ) as caught,
            ):
                await save(store, "id")
            assert (caught.value.retriable, caught.value.certain.split(":")[0]) == (True, "Certainly not stored")
            driver.topics_are_answered = True
            assert await store.load("id") is None
            await save(store, "id")
            assert (await store.load("id")).snapshot == "new"
