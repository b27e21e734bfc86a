"""A long log is indexed batch by batch: what was read is kept if reading is broken off, and does not wait in memory."""

from __future__ import annotations

import pytest

from kafka_persist import BrokerError
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_kafka
from kafka_persist_testkit.sim.kafka import _SimReader
from tests.support.writer import Writer

from .worlds import open_world

EVENTS, AT_ONCE = 12_000, 200


async def written(world):
    writer = Writer("long")
    async with world.open() as journal:
        await writer.claim(journal)
        for first in range(1, EVENTS + 1, AT_ONCE):
            await journal.write([writer.write(first, *[f"{number:500}" for number in range(first, first + AT_ONCE)])])


async def replayed(journal):
    async with journal.replay("long") as events:
        return [(event.sequence_nr, event.payload) async for event in events]


@pytest.mark.parametrize("batches", [1, 3])
async def test_an_index_goes_on_where_reading_was_broken_off(autojump_clock, tmp_path, monkeypatch, batches):
    async with open_world() as world:
        await written(world)
        read, count = _SimReader.read, 0

        async def failing(self, stop):
            nonlocal count
            count += 1
            if count > batches:
                raise BrokerError("the broker went away")
            return await read(self, stop)

        config = world.config(directory=str(tmp_path))
        with monkeypatch.context() as broken:
            broken.setattr(_SimReader, "read", failing)
            async with open_sim_kafka(world.broker, config) as driver, open_journal_on(driver, config) as journal:
                with pytest.raises(BrokerError, match="went away"):
                    await journal.highest_sequence_nr("long")
        async with open_sim_kafka(world.broker, config) as driver, open_journal_on(driver, config) as journal:
            begun, scan = [], driver.scan

            async def noted(log, start, stop):
                begun.append(start or 0)
                return await scan(log, start, stop)

            driver.scan = noted
            assert await replayed(journal) == [(number, f"{number:500}") for number in range(1, EVENTS + 1)]
    assert min(begun) > batches


async def test_a_log_that_was_cut_is_kept_only_as_a_whole(autojump_clock, tmp_path, monkeypatch):
    """Its first record is only believed until more of it was read: what was saved would not be compared again."""
    async with open_world() as world:
        await written(world)
        async with world.open() as journal:
            await journal.delete_to("long", 1)
        world.log().cut(1)
        read = _SimReader.read

        async def failing(self, stop):
            records = await read(self, stop)
            if records and records[-1].offset > 40:
                raise BrokerError("the broker went away")
            return records

        config = world.config(directory=str(tmp_path))
        with monkeypatch.context() as broken:
            broken.setattr(_SimReader, "read", failing)
            async with open_sim_kafka(world.broker, config) as driver, open_journal_on(driver, config) as journal:
                with pytest.raises(BrokerError):
                    await journal.highest_sequence_nr("long")
                assert journal._shards[0].log.index.table.saved() is None
