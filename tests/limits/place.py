"""A simulated broker and its processes, each a journal with its own configuration."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import attrs

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, Rejection
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka
from kafka_persist_testkit.sim.kafka import SimKafka


class CountingKafka(SimKafka):
    """Counts the records that are read."""

    records_read = 0

    async def scan(self, log, start, stop):
        scan = await super().scan(log, start, stop)
        self.records_read += len(scan.records)
        return scan

    async def read(self, log, begin, stop):
        records, after = await super().read(log, begin, stop)
        self.records_read += len(records)
        return records, after


@attrs.define(eq=False)
class Place:
    broker: object
    stack: AsyncExitStack
    seen: Counter = attrs.field(factory=Counter)

    async def journal(self, **limits):
        """One more process."""
        config = JournalConfig(**limits)
        driver = await self.stack.enter_async_context(open_sim_kafka(self.broker, config))
        return await self.stack.enter_async_context(open_journal_on(driver, config))

    async def counting(self, **limits):
        """One more process, and its driver, which counts what is read."""
        config = JournalConfig(**limits)
        driver = CountingKafka(self.broker, config)
        self.stack.callback(driver.close)
        return await self.stack.enter_async_context(open_journal_on(driver, config)), driver


@asynccontextmanager
async def open_place():
    async with AsyncExitStack() as stack:
        yield Place(await stack.enter_async_context(open_sim_broker()), stack)


@attrs.define(eq=False)
class Entity:
    """One id and its writer: writes as an entity does, one after the other."""

    journal: object
    persistence_id: str
    writer: uuid.UUID = attrs.field(factory=uuid.uuid4)
    last: int = 0
    acknowledged: list = attrs.field(factory=list)

    async def claim(self) -> None:
        self.last = await self.journal.claim(self.persistence_id, self.writer)

    def atomic(self, *payloads) -> AtomicWrite:
        return AtomicWrite(
            PersistentRepr(
                persistence_id=self.persistence_id, sequence_nr=self.last + place, payload=payload, writer=self.writer
            )
            for place, payload in enumerate(payloads, 1)
        )

    async def write(self, *payloads) -> bool:
        """Whether it was acknowledged; else it was rejected."""
        write = self.atomic(*payloads)
        (result,) = await self.journal.write([write])
        self.last = write.last_sequence_nr
        if isinstance(result, Rejection):
            return False
        self.acknowledged += payloads
        return True


async def replayed(journal, persistence_id: str) -> list:
    async with journal.replay(persistence_id) as events:
        return [event.payload async for event in events]
