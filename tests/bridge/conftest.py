"""The driver of librdkafka on the session's real Kafka, and a raw client beside it."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import pytest
import trio
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist import JournalConfig
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Ack, Log


class Kafka:
    """The broker as somebody without the library sees it."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.admin = AdminClient({"bootstrap.servers": servers, "logger": logging.getLogger("tests.raw")})

    def create(self, *topics: str, partitions: int = 1) -> None:
        for answer in self.admin.create_topics([NewTopic(name, partitions, 1) for name in topics]).values():
            answer.result()

    def fill(self, topic: str, count: int, size: int = 0) -> None:
        """Append numbered records, each in a batch of its own."""
        with Producer({"bootstrap.servers": self.servers, "linger.ms": 0}) as client:
            for number in range(count):
                client.produce(topic, b"%d" % number + b" " * size, b"key", 0)
                client.flush(30)

    def cut(self, topic: str, offset: int) -> None:
        for answer in self.admin.delete_records([TopicPartition(topic, 0, offset)]).values():
            answer.result()

    @asynccontextmanager
    async def driver(self, **changes: object):
        config = JournalConfig(**{"bootstrap_servers": self.servers, **changes})
        async with open_driver(config) as driver:
            yield driver


@pytest.fixture(scope="session")
def kafka(kafka_server) -> Kafka:
    return Kafka(kafka_server.bootstrap_servers)


async def append(driver, topic: str, value: bytes = b"value") -> Ack:
    """Submit one record and wait for its answer."""
    answered, acks = trio.Event(), []

    def on_ack(ack: Ack) -> None:
        acks.append(ack)
        answered.set()

    driver.submit(Log(topic), b"key", value, on_ack)
    with trio.fail_after(60):
        await answered.wait()
    return acks[0]


def numbers(scan) -> list[int]:
    return [int(record.value) for record in scan.records]
