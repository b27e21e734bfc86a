"""The publisher's client: a producer of its own, whose thread starts when the first event goes out.

It differs from the journal's: records of one id are in flight together, so it is idempotent, which keeps their order
over retries; and it never gives a record up by itself, because a record that is left out while later ones go on would
break the order. What cannot be delivered now waits, bounded, and the rest stays in the journal.

An idempotent producer can fail for good (the broker has forgotten it, or another error that would leave a hole). Then
all its records are answered as unknown, and the next submission makes a new client.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from confluent_kafka import KafkaError

from .._lifecycle import Background, background
from ..config import JournalConfig
from ..driver import Ack, EventSink, Fate, Log, TransactionalSink
from ..errors import StoreClosed
from .brokers import Brokers, at
from .client import Reasons, client_config
from .driver import configured
from .errors import describe
from .producer import Bridge, make_client
from .transactions import open_transactional_sink

_log = logging.getLogger("kafka_persist.publishing")

CLOSING_SECONDS: Final = 10.0
"""For ending the client's threads; nothing is waited for."""

ANY_PARTITION: Final = -1
"""Lets librdkafka choose the partition by the key."""


@asynccontextmanager
async def open_event_sink(brokers: Brokers[JournalConfig]) -> AsyncIterator[EventSink | TransactionalSink]:
    """Open what the configured mode publishes with; leaving the block ends it. Nothing is connected before it is used.

    Raises:
        ConfigError: librdkafka refuses a property.
    """
    if brokers.config.event_producer.mode == "exactly-once":
        async with open_transactional_sink(brokers) as transactional:
            yield transactional
        return
    async with background("the publisher's connection to Kafka") as tasks:
        with configured():
            sink = KafkaEventSink(brokers.config, tasks)
        tasks.spawn(brokers.follow, sink.move)
        try:
            yield sink
        finally:
            with trio.move_on_after(CLOSING_SECONDS, shield=True):
                await sink.close()


class KafkaEventSink(EventSink):
    """`EventSink` on librdkafka; opened by `open_event_sink`."""

    def __init__(self, config: JournalConfig, tasks: Background) -> None:
        self._config = config
        self._tasks = tasks
        self._logs: dict[str, Log] = {}
        self._fatal = ""
        self._closed = self._started = False
        self._token = trio.lowlevel.current_trio_token()
        self._bridge = self._make()

    def __repr__(self) -> str:
        return f"<KafkaEventSink {self._bridge}>"

    def _make(self) -> Bridge:
        properties = client_config(self._config.event_producer_properties(), Reasons())
        client = make_client({**properties, "error_cb": self._note})
        seconds = int(properties["delivery.timeout.ms"]) / 1000
        return Bridge(client, seconds=seconds, own_retries=False)

    def _note(self, error: KafkaError) -> None:
        """Note an error: librdkafka's ``error_cb``; runs in the poller thread."""
        if error.fatal():
            self._fatal = describe(error)

    def submit(self, topic: str, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """See `EventSink.submit`."""
        if (self._fatal or not self._started) and not self._start():
            closed = StoreClosed("the journal is closed")
            self._token.run_sync_soon(on_ack, Ack(Fate.REFUSED, reason=str(closed), error=closed))
            return
        log = self._logs.get(topic)
        if log is None:
            log = self._logs[topic] = Log(topic, ANY_PARTITION)
        self._bridge.submit(log, key, value, on_ack)

    def _start(self) -> bool:
        """Start the client's thread, with a new client if the old one failed for good."""
        if self._closed:
            return False
        if self._fatal:
            _log.warning("the publishing client failed and is replaced: %s", self._fatal)
            self._tasks.spawn(self._bridge.close, 0)
            self._fatal, self._bridge = "", self._make()
        self._started = self._tasks.spawn(self._bridge.run)
        return self._started

    async def move(self, servers: Sequence[str]) -> None:
        """Make a new client for the brokers at `servers`; what the old one has not sent goes along."""
        await trio.lowlevel.checkpoint()
        self._config = at(self._config, servers)
        old, self._bridge = self._bridge, self._make()
        if self._started:
            self._tasks.spawn(self._bridge.run)
            old.hand_over(self._bridge)
        self._tasks.spawn(old.close, 0)

    async def close(self) -> None:
        """End the client; the publisher has waited for what it wanted to wait for. Idempotent."""
        self._closed = True
        await self._bridge.close(0)
