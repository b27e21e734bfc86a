"""Opening the clients of those who read user-defined topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import trio
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from ..config import JournalConfig
from ..driver import TopicSpec
from .admin import Admin
from .brokers import located_once
from .client import Reasons, client_config
from .driver import configured
from .errors import broker_error, describe
from .group import EventReader, RawEvent


@asynccontextmanager
async def open_event_reader(
    config: JournalConfig, specs: Sequence[TopicSpec], *, group: str = "", start: Literal["earliest", "latest"]
) -> AsyncIterator[EventReader]:
    """Open a reader; the topics are created if they are missing and may be.

    ZooKeeper, if it is configured, is asked for the brokers once: a consumer learns of later ones from those.

    Raises:
        ConnectError: ZooKeeper does not answer, or names no usable broker.
        TopicMissing, TopicSettingsRefused, BrokerError: see `Admin.ensure`.
        ConfigError: librdkafka refuses a property.
    """
    config = await located_once(config)
    await ensure_topics(config, specs)
    properties = client_config(config.event_consumer_properties(group), Reasons())
    with configured():
        reader = EventReader(properties, start=start)
    try:
        yield reader
    finally:
        with trio.CancelScope(shield=True):  # bounded by the client's own time to leave a group
            await trio.to_thread.run_sync(reader.close)


async def ensure_topics(config: JournalConfig, specs: Sequence[TopicSpec]) -> None:
    """Create missing topics, check the others; with a client of its own, which is closed again.

    Raises: as `Admin.ensure`.
    """

    def ensure() -> None:
        with configured():
            client = AdminClient(client_config(config.client_properties(), Reasons()))
            admin = Admin(
                client,
                replication_factor=config.topics.replication_factor,
                create=config.topics.create,
                policy=config.settings_policy,
                timeout=config.connect_timeout,
            )
        try:
            for problem in admin.ensure(specs).values():
                if problem is not None:
                    raise problem
        finally:
            admin.close()

    await trio.to_thread.run_sync(ensure)


@asynccontextmanager
async def open_morgue(config: JournalConfig, topic: str) -> AsyncIterator[Callable[[RawEvent, str], Awaitable[None]]]:
    """Open what copies undecodable records to a dead-letter topic, and returns when they are there."""
    config = await located_once(config)
    spec = TopicSpec(topic, config.event_producer.partitions, config.event_topic_settings(), role="events")
    await ensure_topics(config, [spec])
    with configured():
        producer = Producer(client_config(config.producer_properties(), Reasons()))

    async def bury(event: RawEvent, reason: str) -> None:
        await trio.to_thread.run_sync(partial(_copy, producer, topic, event, reason))

    try:
        yield bury
    finally:
        with trio.CancelScope(shield=True):  # nothing is in flight: `bury` waits for its report
            await trio.to_thread.run_sync(producer.close)


def _copy(producer: Producer, topic: str, event: RawEvent, reason: str) -> None:
    """Produce a copy and wait for its report.

    Raises:
        BrokerError: it was not confirmed.
    """
    reports: list[KafkaError | None] = []
    headers: list[tuple[str, str | bytes | None]] = [
        ("kafka-persist-topic", event.log.topic),
        ("kafka-persist-partition", str(event.log.partition)),
        ("kafka-persist-offset", str(event.offset)),
        ("kafka-persist-error", reason),
    ]
    try:
        producer.produce(
            topic, event.value, event.key, headers=headers, on_delivery=lambda error, _message: reports.append(error)
        )
        while not reports:
            producer.poll(0.1)
    except KafkaException as exception:
        reports.append(exception.args[0])
    if (error := reports[-1]) is not None:
        raise broker_error(error, f"copying {event.log}@{event.offset} to {topic} ({describe(error)})")
