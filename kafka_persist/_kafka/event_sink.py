"""The publisher's client: a producer of its own, whose reports are pumped from the first event on.

It differs from the journal's: records of one id are in flight together, so it is idempotent, which keeps their order
over retries; and it never gives a record up by itself, because a record that is left out while later ones go on would
break the order. What cannot be delivered now waits, bounded, and the rest stays in the journal.

An idempotent producer can fail for good (the broker has forgotten it, or another error that would leave a hole). The next
submission has it replaced: all its records are answered as unknown first, and what is submitted meanwhile is refused.
Otherwise an event could overtake one of its id that the old client did not get out.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import trio
from confluent_kafka import KafkaError, Producer

from .._lifecycle import Background, background
from ..config import JournalConfig
from ..driver import Ack, EventSink, Fate, Log, TransactionalSink
from ..errors import StoreClosed
from .brokers import Brokers, at
from .client import Reasons, client_config
from .closing import close_client
from .driver import configured
from .errors import describe
from .making import make_client
from .producer import Bridge
from .transactional_sink import open_transactional_sink

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
        sink = KafkaEventSink(brokers.config, tasks, await _make_client(brokers.config))
        tasks.spawn(brokers.follow, sink.move)
        try:
            yield sink
        finally:
            with trio.move_on_after(CLOSING_SECONDS, shield=True):
                await sink.close()


async def _make_client(config: JournalConfig) -> SinkClient:
    in_order = config.event_producer.mode == "at-least-once"
    return await make_sink_client(config.event_producer_properties(), in_order=in_order)


async def make_sink_client(properties: Mapping[str, Any], *, in_order: bool) -> SinkClient:
    """Make a producer with these properties, in a thread."""
    make = partial(SinkClient, properties, in_order=in_order)
    return await make_client(make, SinkClient.close, "the publishing producer")


class SinkClient:
    """A producer, and whether it has failed for good; made in a thread."""

    def __init__(self, given: Mapping[str, Any], *, in_order: bool) -> None:
        self.fatal = ""
        self.reasons = Reasons()
        properties = client_config(given, self.reasons)
        self.seconds = int(properties["delivery.timeout.ms"]) / 1000
        self.in_order = in_order
        """Its owner sends again what is refused; with "fire-and-forget" nobody does, and a refused event would be lost."""
        with configured():
            self.producer = Producer({**properties, "error_cb": self._note})

    def _note(self, error: KafkaError) -> None:
        """Note an error; this is librdkafka's ``error_cb``."""
        self.reasons.note(error)
        if error.fatal():
            self.fatal = describe(error)

    def close(self) -> None:
        """End a client that was never used."""
        self.producer.close()


class KafkaEventSink(EventSink):
    """`EventSink` on librdkafka; opened by `open_event_sink`."""

    def __init__(
        self,
        config: JournalConfig,
        tasks: Background,
        client: SinkClient,
        make: Callable[[JournalConfig], Awaitable[SinkClient]] | None = None,
    ) -> None:
        self._make = make or _make_client
        self._config = config
        self._tasks = tasks
        self._logs: dict[str, Log] = {}
        self._closed = self._started = self._replacing = False
        self._token = trio.lowlevel.current_trio_token()
        self._client = client
        self._bridge = _bridge_of(client)
        self._changing = trio.Lock()

    def __repr__(self) -> str:
        return f"<KafkaEventSink {self._bridge}>"

    def submit(self, topic: str, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """See `EventSink.submit`."""
        log = self._logs.get(topic)
        if log is None:
            log = self._logs[topic] = Log(topic, ANY_PARTITION)
        self.submit_to(log, key, value, on_ack)

    def submit_to(self, log: Log, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """Hand a record over that goes to a partition of the caller's choice; otherwise as `submit`."""
        if self._client.fatal and not self._replacing:
            self._replacing = self._tasks.spawn(self._replace)
        if self._replacing:
            self._token.run_sync_soon(on_ack, Ack(Fate.REFUSED, reason="the publishing client failed and is replaced"))
            return
        if not self._started and not self._start():
            closed = StoreClosed("the journal is closed")
            self._token.run_sync_soon(on_ack, Ack(Fate.REFUSED, reason=str(closed), error=closed))
            return
        self._bridge.submit(log, key, value, on_ack)

    def _start(self) -> bool:
        """Start pumping reports."""
        self._started = not self._closed and self._tasks.spawn(self._bridge.run)
        return self._started

    async def _replace(self) -> None:
        """Put a new client in the place of one that failed for good, when all of its records are answered."""
        async with self._changing:
            try:
                if self._client.fatal:  # else the brokers have moved meanwhile
                    _log.warning(
                        "the publishing client failed and is replaced: %s",
                        self._client.fatal,
                        extra={"event": "publishing.client-replaced"},
                    )
                    await self._bridge.close(0)
                    await self._use(await self._make(self._config))
            finally:
                self._replacing = False

    async def _use(self, client: SinkClient) -> None:
        """Send with this client from here on.

        What the old one has not answered is answered as unknown, soon; nothing is taken until that is done, so that no event
        overtakes one of its id.
        """
        if self._closed:  # while it was made
            await close_client(client.close, "the publishing producer")
            return
        old, self._client, self._bridge = self._bridge, client, _bridge_of(client)
        if self._started:
            self._start()
        self._replacing = True
        old.hand_over(self._bridge)
        self._token.run_sync_soon(self._go_on)  # runs behind the answers
        self._tasks.spawn(old.close, 0)
        await trio.lowlevel.checkpoint()

    def _go_on(self) -> None:
        self._replacing = False

    async def move(self, servers: Sequence[str]) -> None:
        """Make a new client for the brokers at `servers`, and use it."""
        async with self._changing:
            self._config = at(self._config, servers)
            await self._use(await self._make(self._config))

    async def close(self) -> None:
        """End the client; the publisher has waited for what it wanted to wait for. Idempotent."""
        self._closed = True
        await self._bridge.close(0)


def _bridge_of(client: SinkClient) -> Bridge:
    return Bridge(
        client.producer,
        client.reasons,
        seconds=client.seconds,
        own_retries=False,
        repeatable=False,
        in_order=client.in_order,
    )
