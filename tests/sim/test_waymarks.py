"""A replay from the middle of a long log begins near there, once the log was read."""

from __future__ import annotations

import pytest

from kafka_persist import JournalConfig
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka
from tests.support.writer import Writer

EVENTS, AT_ONCE = 12_000, 200


async def written(broker):
    writer = Writer("long")
    async with open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
        await writer.claim(journal)
        for first in range(1, EVENTS + 1, AT_ONCE):
            await journal.write([writer.write(first, *[f"{number:500}" for number in range(first, first + AT_ONCE)])])


async def numbers(journal, **window):
    async with journal.replay("long", **window) as events:
        return [event.sequence_nr async for event in events]


@pytest.mark.parametrize("first", [1, 999, 6000, 9001, EVENTS - 5, EVENTS])
async def test_any_place_is_found_and_not_from_the_start_of_the_log(first, autojump_clock):
    async with open_sim_broker() as broker:
        await written(broker)
        async with open_sim_kafka(broker, JournalConfig()) as driver, open_journal_on(driver) as journal:
            assert await journal.highest_sequence_nr("long") == EVENTS
            begun, scan = [], driver.scan

            async def noted(log, start, stop):
                begun.append(start or 0)
                return await scan(log, start, stop)

            driver.scan = noted
            found = await numbers(journal, from_sequence_nr=first, max_events=50)
    assert found == list(range(first, min(first + 50, EVENTS + 1)))
    records = EVENTS // AT_ONCE
    place = records * first // EVENTS
    assert max(begun[1:]) >= place - records // 3  # the first one looks for what is new


async def test_events_that_were_deleted_meanwhile_are_not_looked_for(autojump_clock):
    """A place that is remembered may be cut off by another process."""
    async with open_sim_broker() as broker:
        await written(broker)
        async with open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
            assert await numbers(journal, from_sequence_nr=EVENTS) == [EVENTS]
            async with open_sim_kafka(broker) as another, open_journal_on(another) as other:
                await other.delete_to("long", 9000)
            assert await numbers(journal, from_sequence_nr=5000, max_events=1) == [9001]
            assert await numbers(journal, from_sequence_nr=EVENTS - 1) == [EVENTS - 1, EVENTS]
