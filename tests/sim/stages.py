"""Where a scripted case runs: on a simulated broker, or on the session's real one. It cannot see which."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from kafka_persist import JournalConfig
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Ack, Driver, Log, TopicSpec
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import SimBroker, open_sim_broker, open_sim_kafka
from lab.soak.raw import Stranger


@attrs.define(eq=False)
class Stage:
    """One topic's name, drivers, and what strangers do.

    Attributes:
        topic: a name that nobody else uses.
    """

    topic: str
    stack: AsyncExitStack

    @property
    def log(self) -> Log:
        return Log(self.topic)

    def config(self, **changes) -> JournalConfig:
        short = {"delivery_timeout": 2.0, "recovery_stall_timeout": 1.0, "connect_timeout": 20.0}
        return JournalConfig(**self.servers(), **{**short, **changes})

    async def driver(self, **changes) -> Driver:
        """One more process's driver, closed with the stage."""
        return await self.stack.enter_async_context(self.open(self.config(**changes)))

    async def driver_with_topic(self, **settings: str) -> Driver:
        driver = await self.driver()
        await driver.ensure_topics([self.spec(**settings)])
        return driver

    def spec(self, **settings: str) -> TopicSpec:
        return TopicSpec(self.topic, settings=dotted({"retention_ms": "-1", **settings}))

    async def journal(self, **changes):
        """One more process's journal."""
        config = self.config(**changes)
        driver = await self.stack.enter_async_context(self.open(config))
        return await self.stack.enter_async_context(open_journal_on(driver, config))


def dotted(settings):
    return {name.replace("_", "."): text for name, text in settings.items()}


class SimStage(Stage):
    broker: SimBroker

    def servers(self):
        return {}

    def open(self, config):
        return open_sim_kafka(self.broker, config)

    async def create(self, **settings: str) -> None:
        self.broker.create_topic(self.topic, settings=dotted(settings))

    async def cut(self, offset: int) -> None:
        self.broker.log(self.topic).cut(offset)

    async def recreate(self) -> None:
        self.broker.recreate_topic(self.topic)

    async def delete(self) -> None:
        self.broker.delete_topic(self.topic)

    async def produce(self, value: bytes) -> None:
        self.broker.log(self.topic).append(None, value)

    async def abort_transaction(self) -> None:
        log = self.broker.log(self.topic)
        log.aborted.add(log.append(None, b"of a transaction"))
        log.append_marker()


class RealStage(Stage):
    bootstrap: str

    def servers(self):
        return {"bootstrap_servers": self.bootstrap}

    def config(self, **changes) -> JournalConfig:
        """A real broker on a busy machine may take seconds for its answer; no case here waits for a stall to come."""
        return super().config(**{"recovery_stall_timeout": 20.0, **changes})

    def open(self, config):
        return open_driver(config)

    @property
    def stranger(self) -> Stranger:
        return Stranger(self.bootstrap)

    async def create(self, **settings: str) -> None:
        await trio.to_thread.run_sync(self.stranger.create, self.topic, dotted(settings))

    async def cut(self, offset: int) -> None:
        await trio.to_thread.run_sync(self.stranger.delete_records, self.topic, offset)

    async def recreate(self) -> None:
        await trio.to_thread.run_sync(self.stranger.recreate, self.topic)

    async def delete(self) -> None:
        await trio.to_thread.run_sync(self.stranger.delete, self.topic)

    async def produce(self, value: bytes) -> None:
        await trio.to_thread.run_sync(self.stranger.produce, self.topic, value)

    async def abort_transaction(self) -> None:
        def work() -> None:
            self.stranger.abort(self.stranger.open_transaction(self.topic))

        await trio.to_thread.run_sync(work)


@asynccontextmanager
async def sim_stage(topic: str):
    async with AsyncExitStack() as stack:
        stage = SimStage(topic, stack)
        stage.broker = await stack.enter_async_context(open_sim_broker())
        yield stage


@asynccontextmanager
async def real_stage(topic: str, bootstrap: str):
    async with AsyncExitStack() as stack:
        stage = RealStage(topic, stack)
        stage.bootstrap = bootstrap
        yield stage


async def append(driver: Driver, log: Log, value: bytes | None = b"value", key: bytes = b"key") -> Ack:
    """Append one record and wait for its answer."""
    answered, acks = trio.Event(), []

    def on_ack(ack: Ack) -> None:
        acks.append(ack)
        answered.set()

    driver.submit(log, key, value, on_ack)
    await answered.wait()
    return acks[0]


async def read_all(driver: Driver, log: Log, start: int, stop: int) -> list[list[int]]:
    """The offsets of each batch of a reader."""
    batches = []
    async with driver.open_reader(log, start) as reader:
        while records := await reader.read(stop):
            batches.append([record.offset for record in records])
    return batches
