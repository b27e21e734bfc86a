"""The broker loses the end of a log, and others fill its place: a writer that had seen it is not told a lie."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from kafka_persist import AtomicWrite, JournalConfig, JournalTruncated, PersistentRepr, WriterFenced
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import Delivery, Network, open_sim_broker, open_sim_kafka
from kafka_persist_testkit.sim.broker import SimLog

CONFIG = JournalConfig(delivery_timeout=1.0, recovery_stall_timeout=1.0)
WRITER = uuid.uuid4()


class WithoutOffsets(Network):
    """No answer names an offset: each own record has to be found in the log."""

    def delivery(self, log, value):
        return Delivery(with_offset=False)


def batch(number: int) -> AtomicWrite:
    return AtomicWrite([PersistentRepr(persistence_id="id", sequence_nr=number, payload=number, writer=WRITER)])


class Stage:
    def __init__(self, broker, stack: AsyncExitStack) -> None:
        self.broker = broker
        self._stack = stack

    @property
    def log(self):
        return self.broker.log("id")

    async def journal(self, network: Network | None = None):
        driver = await self._stack.enter_async_context(open_sim_kafka(self.broker, CONFIG, network or Network()))
        return await self._stack.enter_async_context(open_journal_on(driver, CONFIG))

    async def written(self, count: int):
        journal = await self.journal()
        await journal.claim("id", WRITER)
        for number in range(1, count + 1):
            await journal.write([batch(number)])
        return journal

    def land_again(self, offset: int) -> None:
        """A record lands a second time, and does not count there."""
        record = self.log.entries[offset]
        self.log.append(record.key, record.value)

    async def read(self) -> list[int]:
        async with (await self.journal()).replay("id") as events:
            return [event.sequence_nr async for event in events]


@asynccontextmanager
async def open_stage():
    async with open_sim_broker() as broker, AsyncExitStack() as stack:
        yield Stage(broker, stack)


async def test_a_lost_record_that_did_not_count_is_replaced_by_a_claim(autojump_clock):
    """The writer's next record stands where it expects it, and does not count."""
    async with open_stage() as stage:
        journal = await stage.written(2)
        stage.land_again(2)
        assert await journal.highest_sequence_nr("id") == 2
        stage.log.lose_tail(3)
        await (await stage.journal()).claim("id", uuid.uuid4())

        with pytest.raises(WriterFenced):
            await journal.write([batch(3)])
        assert await stage.read() == [1, 2]


async def test_a_lost_event_is_replaced_by_what_does_not_count(autojump_clock):
    """The writer cannot know, but every reader does: the next record begins behind a number that nobody has used."""
    async with open_stage() as stage:
        journal = await stage.written(3)
        stage.log.lose_tail(3)
        stage.land_again(0)
        await (await stage.journal()).delete_to("id", 1)
        await journal.write([batch(4)])

        with pytest.raises(JournalTruncated):
            await stage.read()


async def test_a_key_that_changes_on_its_way_hides_no_stored_event(autojump_clock, monkeypatch):
    async with open_stage() as stage:
        await stage.written(1)
        append = SimLog.append
        monkeypatch.setattr(
            SimLog, "append", lambda log, key, value: append(log, bytes(32 ^ bit for bit in key), value)
        )
        journal = await stage.journal(WithoutOffsets())
        assert await journal.write([batch(2)]) == [None]
        assert await stage.read() == [1, 2]
