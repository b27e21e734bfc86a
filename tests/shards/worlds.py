"""Simulated processes with shards, on one simulated broker and in one group whose coordinator is the test."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import attrs
import trio

from kafka_persist import JournalConfig, default_serializer
from kafka_persist.config import SharedConfig
from kafka_persist.driver import Log
from kafka_persist.errors import PersistenceError
from kafka_persist.journal import open_journal_on
from kafka_persist.memory import open_memory_snapshot_store
from kafka_persist.persistence import open_persistence_on
from kafka_persist.shards import Opening, Shards, open_shards
from kafka_persist_testkit.sim import (
    Network,
    SimBroker,
    SimConnections,
    SimGroup,
    SimKafka,
    SimReader,
    open_sim_broker,
    open_sim_kafka,
)

from .accounts import account


@attrs.define(eq=False)
class Process:
    """One simulated process."""

    name: str
    shards: Shards
    reader: SimReader
    drivers: tuple[SimKafka, SimKafka]
    scope: trio.CancelScope
    journal: object
    ended: trio.Event = attrs.field(factory=trio.Event)

    def kill(self) -> None:
        """End as by SIGKILL: nothing more is answered; what is on its way still lands."""
        self.scope.cancel()
        self.ended.set()
        for driver in self.drivers:
            driver.close()


@attrs.define(eq=False)
class World:
    """The broker, the group, and the processes that live."""

    broker: SimBroker
    nursery: trio.Nursery
    partitions: int
    group: SimGroup = attrs.field(factory=SimGroup)
    processes: list[Process] = attrs.field(factory=list)
    started: int = 0

    @property
    def config(self) -> JournalConfig:
        shared = SharedConfig(partitions=self.partitions)
        return JournalConfig(layout="shared", shared=shared, delivery_timeout=2.0, recovery_stall_timeout=1.0)

    def log(self, partition: int) -> Log:
        return Log(self.config.command_topic, partition)

    async def start(self, network: Network | None = None, *, types=(account,), **options) -> Process:
        """Start one more process; it has no shards before the group gives some to it."""
        self.started += 1
        return await self.nursery.start(self._run, f"p{self.started}", network or Network(), types, options)

    async def _run(self, name, network, types, options, *, task_status):
        with trio.CancelScope() as scope:
            async with self._open(network, types, options) as (shards, drivers, journal):
                process = Process(name, shards, self.group.members[-1], drivers, scope, journal)
                self.processes.append(process)
                task_status.started(process)
                try:
                    await trio.sleep_forever()
                finally:
                    self.processes.remove(process)
        process.ended.set()

    @asynccontextmanager
    async def _open(self, network, types, options):
        config, serializer = self.config, default_serializer()
        async with (
            open_sim_kafka(self.broker, config, network) as driver,
            open_sim_kafka(self.broker, config, network, idempotent=True) as sending,
            open_journal_on(driver, config, serializer=serializer) as journal,
            open_memory_snapshot_store(serializer=serializer) as snapshots,
            open_persistence_on(journal, snapshots, serializer=serializer) as persistence,
        ):
            opening = Opening(config, journal, serializer, persistence._recover, persistence._names.discard)
            connections = SimConnections(sending, config, self.group)
            async with open_shards(connections, opening, "service", types, clock=now, **options) as shards:
                yield shards, (driver, sending), journal

    @property
    def living(self) -> list[Process]:
        """The processes that nobody has killed; tests always leave one."""
        return [process for process in self.processes if not process.ended.is_set()]

    def rebalance(self) -> None:
        self.group.rebalance(self.config.command_topic, self.partitions)

    def mend(self) -> None:
        """Every partition belongs to somebody who lives, as a coordinator would see to."""
        living = [process.reader for process in self.living]
        for partition in range(self.partitions):
            if living and not any(self.log(partition) in reader.told for reader in living):
                self.group.give(self.log(partition), living[partition % len(living)])

    async def disturb_log(self, chance) -> None:
        """Somebody else claims an id: its log is taken from its owner."""
        async with (
            open_sim_kafka(self.broker, self.config) as driver,
            open_journal_on(driver, self.config) as journal,
        ):
            with suppress(PersistenceError):
                await journal.claim(f"account-{chance.randrange(12)}", uuid.uuid4())

    async def stored(self) -> dict[str, list]:
        """All events of all ids, as a fresh process reads them."""
        async with (
            open_sim_kafka(self.broker, self.config) as driver,
            open_journal_on(driver, self.config) as journal,
        ):
            found = {}
            async with journal.persistence_ids() as names:
                listed = [name async for name in names]
            for name in listed:
                async with journal.replay(name) as events:
                    found[name] = [event.payload async for event in events]
            return found


def now() -> int:
    """The clock of all processes: Trio's, which tests move."""
    return int(trio.current_time() * 1000)


@asynccontextmanager
async def open_world(partitions: int = 2):
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_sim_broker())
        nursery = await stack.enter_async_context(trio.open_nursery())
        yield World(broker, nursery, partitions)
        nursery.cancel_scope.cancel()
