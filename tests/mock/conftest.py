"""The real driver and the real client library on librdkafka's mock cluster."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from kafka_persist import JournalConfig
from kafka_persist._kafka.client import Reasons
from kafka_persist._kafka.driver import KafkaDriver
from kafka_persist._lifecycle import background
from kafka_persist.driver import Ack, Log
from kafka_persist.journal import open_journal_on
from lab.mock import MockCluster

SHORT = {
    "delivery_timeout": 2.0,
    "recovery_stall_timeout": 2.0,
    "connect_timeout": 10.0,
    "client": {"reconnect.backoff.ms": 5, "reconnect.backoff.max.ms": 20},
    "producer": {"retry.backoff.ms": 1, "retry.backoff.max.ms": 5},
}


class MockDriver(KafkaDriver):
    """The real driver; what the mock cannot do goes to it by another way."""

    mock: MockCluster

    async def ensure_topics(self, specs) -> None:
        await trio.lowlevel.checkpoint()
        for spec in specs:
            if spec.name not in self._topics.ensured:
                self.mock.create_topic(spec.name, spec.partitions)
                self._topics.ensured.add(spec.name)

    async def partition_count(self, topic: str) -> int:
        await trio.lowlevel.checkpoint()
        return 1

    async def delete_before(self, log: Log, offset: int) -> None:
        await trio.lowlevel.checkpoint()
        self.mock.delete_records(log.topic, offset)


@asynccontextmanager
async def open_mock_driver(mock: MockCluster, **changes):
    config = JournalConfig(bootstrap_servers=mock.bootstrap_servers, **{**SHORT, **changes})
    async with background("the connection") as tasks, AsyncExitStack() as stack:
        driver = MockDriver(config, Reasons())
        driver.mock = mock
        stack.push_async_callback(driver.close)
        await driver.start(tasks)
        yield driver


@asynccontextmanager
async def open_mock_journal(mock: MockCluster, **changes):
    config = JournalConfig(bootstrap_servers=mock.bootstrap_servers, **{**SHORT, **changes})
    async with open_mock_driver(mock, **changes) as driver, open_journal_on(driver, config) as journal:
        yield journal


async def append(driver, topic: str, value: bytes = b"value") -> Ack:
    answered, acks = trio.Event(), []

    def on_ack(ack: Ack) -> None:
        acks.append(ack)
        answered.set()

    driver.submit(Log(topic), b"key", value, on_ack)
    with trio.fail_after(10):
        await answered.wait()
    return acks[0]


async def replayed(journal, pid: str) -> list[object]:
    async with journal.replay(pid) as events:
        return [event.payload async for event in events]


@pytest.fixture
def mock():
    with MockCluster() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch):
    """Hundreds of failures on purpose would fill the log; tests of other folders in this process want theirs."""
    monkeypatch.setattr(logging.getLogger("kafka_persist.client"), "disabled", True)
