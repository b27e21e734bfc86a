"""Streams of events that were published in transactions, whose ends stand between and behind the events."""

from __future__ import annotations

import attrs
import pytest
import trio

from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Log
from tests.support.waiting import until

from .conftest import take

pytestmark = pytest.mark.broker


def exactly_once(place):
    place.config = attrs.evolve(
        place.config, event_producer=attrs.evolve(place.config.event_producer, mode="exactly-once")
    )
    return place


async def test_only_events_that_count_come(place):
    """Each event comes once; what an aborted transaction left does not come at all."""
    exactly_once(place).create(1)
    await place.write(10, "ab")
    place.produce_in_vain(1)
    await place.write(10, "ab")
    async with place.events() as stream:
        events = await take(stream, 40)
    assert [event.sequence_nr for event in events if event.persistence_id == "a"] == list(range(1, 21))
    assert [event.sequence_nr for event in events if event.persistence_id == "b"] == list(range(1, 21))


async def test_a_position_is_behind_the_ends_of_transactions(place):
    """A group that has read everything misses nothing when retention removes everything."""
    exactly_once(place).create(1)
    await place.write(3, "a")
    place.produce_in_vain(1)
    async with open_driver(place.config) as driver:
        end = (await driver.scan(Log(place.topic), None, 0)).range.end
        async with place.events() as stream:
            await take(stream, 3)
            stream.finish()
            await until(lambda: place.committed(1) == end)
        await driver.delete_before(Log(place.topic), end)
    await place.write(2, "a")
    async with place.events() as stream:
        with trio.fail_after(30):
            assert [event.sequence_nr for event in await take(stream, 2)] == [4, 5]
