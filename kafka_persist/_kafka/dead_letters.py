"""Copies of records that cannot be decoded, in a topic of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..config import JournalConfig
from ..driver import TopicSpec
from .brokers import located_once
from .client import Reasons, client_config
from .closing import close_client
from .consumers import ensure_topics
from .driver import configured
from .errors import broker_error, describe, error_in
from .group import RawEvent
from .making import make_client
from .wakeup import Waiting, wait_on

SendDeadLetter: TypeAlias = Callable[[RawEvent, str], Awaitable[None]]


@asynccontextmanager
async def open_dead_letter_producer(config: JournalConfig, topic: str) -> AsyncIterator[SendDeadLetter]:
    """Open what copies undecodable records to `topic`, and returns when they are there.

    Raises:
        ConnectError, TopicMissing, TopicSettingsRefused, BrokerError, ConfigError: see `open_event_reader`.
    """
    config = await located_once(config)
    spec = TopicSpec(topic, config.event_producer.partitions, config.event_topic_settings(), role="events")
    await ensure_topics(config, [spec])
    properties = client_config(config.producer_properties(), Reasons())

    def make() -> Producer:
        with configured():
            return Producer(properties)

    client = await make_client(make, _close, "a producer of dead letters")
    waiting = wait_on(client, "main")
    try:
        yield DeadLetterProducer(client, waiting, topic).send
    finally:
        waiting.close()
        await close_client(lambda: _close(client), "a producer of dead letters")  # noqa: ASYNC102 - shields itself, with a deadline


class DeadLetterProducer:
    """Sends one copy at a time."""

    def __init__(self, client: Producer, waiting: Waiting, topic: str) -> None:
        self._client = client
        self._waiting = waiting
        self._topic = topic

    async def send(self, event: RawEvent, reason: str) -> None:
        """Copy a record, and wait for the report.

        Raises:
            BrokerError: it was not confirmed within the delivery timeout.

        Cancellation: the copy may be written all the same, now or later.
        """
        reports: list[KafkaError | None] = []
        try:
            self._produce(event, reason, reports)
            while not reports:  # the client gives each record a report: ``delivery.timeout.ms``
                await self._waiting.poll(self._poll)
        except KafkaException as exception:
            reports.append(error_in(exception))
        if (error := reports[-1]) is not None:
            raise broker_error(error, f"copying {event.log}@{event.offset} to {self._topic} ({describe(error)})")

    def _produce(self, event: RawEvent, reason: str, reports: list[KafkaError | None]) -> None:
        headers: list[tuple[str, str | bytes | None]] = [
            ("kafka-persist-topic", event.log.topic),
            ("kafka-persist-partition", str(event.log.partition)),
            ("kafka-persist-offset", str(event.offset)),
            ("kafka-persist-error", reason),
        ]

        def reported(error: KafkaError | None, _message: Message) -> None:
            reports.append(error)

        self._client.produce(self._topic, event.value, event.key, headers=headers, on_delivery=reported)

    @trio.lowlevel.enable_ki_protection
    def _poll(self, seconds: float) -> int:
        """Protected, because an exception in here would lose a report."""
        return self._client.poll(seconds)


def _close(client: Producer) -> None:
    """End the client; what was cancelled is not waited for."""
    client.purge()
    client.poll(0)
    client.close()
