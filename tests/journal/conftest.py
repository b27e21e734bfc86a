"""A journal on the session's real Kafka, raw clients beside it, and short ways to say what is written."""

from __future__ import annotations

import logging
import time

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from kafka_persist import JournalConfig, open_journal
from tests.support.writer import Writer


class Kafka:
    """The broker as somebody without the library sees it."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.admin = AdminClient({"bootstrap.servers": servers, "logger": logging.getLogger("tests.raw")})

    def config(self, **changes: object) -> JournalConfig:
        return JournalConfig(**{"bootstrap_servers": self.servers, **changes})

    def open(self, **changes: object):
        return open_journal(self.config(**changes))

    def produce(self, topic: str, value: bytes | None, key: bytes = b"raw") -> int:
        """Append one record; return its offset."""
        offsets: list[int] = []
        with Producer({"bootstrap.servers": self.servers}) as client:
            client.produce(topic, value, key, 0, on_delivery=lambda _error, message: offsets.append(message.offset()))
            client.flush(30)
        return offsets[0]

    def create(self, topic: str, **settings: str) -> None:
        config = {name.replace("_", "."): value for name, value in settings.items()}
        for answer in self.admin.create_topics([NewTopic(topic, 1, 1, config=config)]).values():
            answer.result()

    def recreate(self, topic: str, **settings: str) -> None:
        """Delete and create a topic; with ZooKeeper the name stays taken for a moment."""
        for answer in self.admin.delete_topics([topic], operation_timeout=30).values():
            answer.result()
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.create(topic, **settings)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > deadline:
                    raise

    def settings(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return {name: entry.value for name, entry in self.admin.describe_configs([resource])[resource].result().items()}


@pytest.fixture(scope="session")
def kafka(kafka_server) -> Kafka:
    return Kafka(kafka_server.bootstrap_servers)


@pytest.fixture
async def journal(kafka):
    async with kafka.open() as opened:
        yield opened


@pytest.fixture
def writer(kafka_prefix) -> Writer:
    return Writer(f"{kafka_prefix}id")


async def numbers(journal, persistence_id, **window) -> list[int]:
    async with journal.replay(persistence_id, **window) as events:
        return [event.sequence_nr async for event in events]


async def payloads(journal, persistence_id, **window) -> list[object]:
    async with journal.replay(persistence_id, **window) as events:
        return [event.payload async for event in events]


@pytest.fixture
def read_numbers():
    return numbers


@pytest.fixture
def read_payloads():
    return payloads


@pytest.fixture
def writer_of():
    return Writer


@pytest.fixture
def kafka_at():
    """The same view of a server of the test's own."""
    return lambda server: Kafka(server.bootstrap_servers)
