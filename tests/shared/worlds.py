"""A simulated broker and the journals of several processes on it."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager

import attrs

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr
from kafka_persist.config import SharedConfig
from kafka_persist.driver import Log
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import Network, SimBroker, open_sim_broker, open_sim_kafka


@attrs.define(eq=False)
class World:
    """One broker; `journal` opens one more process's journal, which is closed with the world."""

    broker: SimBroker
    stack: AsyncExitStack

    def config(self, **shared):
        shared = SharedConfig(**({"partitions": 1} | shared))
        return JournalConfig(layout="shared", shared=shared, delivery_timeout=2.0, recovery_stall_timeout=1.0)

    @asynccontextmanager
    async def open(self, network=None, **shared):
        config = self.config(**shared)
        async with (
            open_sim_kafka(self.broker, config, network or Network()) as driver,
            open_journal_on(driver, config) as journal,
        ):
            yield journal

    async def journal(self, network=None, **shared):
        return await self.stack.enter_async_context(self.open(network, **shared))

    def log(self, partition=0):
        return self.broker.find(Log("journal", partition))


@asynccontextmanager
async def open_world():
    async with open_sim_broker() as broker, AsyncExitStack() as stack:
        yield World(broker, stack)


@attrs.define
class Writer:
    """One incarnation of an entity."""

    journal: object
    pid: str
    uuid: uuid.UUID = attrs.field(factory=uuid.uuid4)
    highest: int = 0

    async def claim(self):
        self.highest = await self.journal.claim(self.pid, self.uuid)
        return self

    async def write(self, *payloads):
        write = AtomicWrite(
            PersistentRepr(
                persistence_id=self.pid, sequence_nr=self.highest + step, payload=payload, writer=self.uuid, timestamp=1
            )
            for step, payload in enumerate(payloads, 1)
        )
        results = await self.journal.write([write])
        self.highest += len(payloads)
        return results


async def replayed(journal, pid, **window):
    async with journal.replay(pid, **window) as events:
        return [event.payload async for event in events]
